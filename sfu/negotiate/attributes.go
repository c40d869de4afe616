package negotiate

import (
	"slices"
	"strconv"
	"strings"
)

// mediaParser takes the attributes of one m-line.
type mediaParser struct {
	m         *Media
	byPT      map[uint8]int
	simulcast []string
}

func (p *mediaParser) attribute(key, val string) error {
	switch key {
	case "sendonly", "recvonly", "sendrecv", "inactive":
		p.m.Direction = Direction(key)
	case "rtpmap":
		p.rtpmap(val)
	case "fmtp":
		if c, rest := p.codec(val); c != nil {
			c.Fmtp = rest
			c.APT = repaired(rest)
		}
	case "rtcp-fb":
		if all, ok := strings.CutPrefix(val, "* "); ok {
			for i := range p.m.Codecs {
				p.m.Codecs[i].addFeedback(all)
			}
		} else if c, rest := p.codec(val); c != nil {
			c.addFeedback(rest)
		}
	case "extmap":
		return p.extmap(val)
	case "rid":
		id, dir, _ := strings.Cut(val, " ")
		dir, _, _ = strings.Cut(dir, " ")
		if dir == "send" && validRID(id) && len(p.m.RIDs) < maxRIDs {
			p.m.RIDs = append(p.m.RIDs, id)
		}
	case "simulcast": // "send h;m;l recv …", in either order (RFC 8853 section 5.1)
		f := strings.Fields(val)
		for i := 0; i+1 < len(f); i += 2 {
			if f[i] == "send" {
				p.simulcast = strings.FieldsFunc(f[i+1], func(r rune) bool { return r == ';' || r == ',' })
			}
		}
	case "ssrc":
		id, _, _ := strings.Cut(val, " ")
		if n, err := strconv.ParseUint(id, 10, 32); err == nil {
			p.ssrc(uint32(n))
		}
	case "ssrc-group":
		f := strings.Fields(val)
		if len(f) == 3 && f[0] == "FID" {
			a, err1 := strconv.ParseUint(f[1], 10, 32)
			b, err2 := strconv.ParseUint(f[2], 10, 32)
			if err1 == nil && err2 == nil && len(p.m.Repairs) < maxSSRCs {
				p.m.Repairs[uint32(b)] = uint32(a)
			}
		}
	}
	return nil
}

func (c *Codec) addFeedback(fb string) {
	if len(c.Feedback) < maxFeedback && !slices.Contains(c.Feedback, fb) {
		c.Feedback = append(c.Feedback, fb)
	}
}

// repaired is the payload type of an fmtp's apt parameter (RFC 4588 section
// 8.6), 0 when it has none.
func repaired(fmtp string) uint8 {
	for _, f := range strings.Split(fmtp, ";") {
		if apt, ok := strings.CutPrefix(strings.TrimSpace(f), "apt="); ok {
			n, _ := strconv.ParseUint(apt, 10, 7)
			return uint8(n)
		}
	}
	return 0
}

func (p *mediaParser) ssrc(n uint32) {
	if len(p.m.SSRCs) < maxSSRCs && !slices.Contains(p.m.SSRCs, n) {
		p.m.SSRCs = append(p.m.SSRCs, n)
	}
}

// codec splits "<pt> <rest>" and finds the codec of pt.
func (p *mediaParser) codec(val string) (*Codec, string) {
	head, rest, _ := strings.Cut(val, " ")
	pt, err := strconv.ParseUint(head, 10, 7)
	if err != nil {
		return nil, ""
	}
	i, ok := p.byPT[uint8(pt)]
	if !ok {
		return nil, ""
	}
	return &p.m.Codecs[i], rest
}

func (p *mediaParser) rtpmap(val string) {
	c, rest := p.codec(val)
	if c == nil {
		return
	}
	parts := strings.Split(rest, "/")
	c.Name = strings.ToLower(parts[0])
	if len(parts) > 1 {
		n, _ := strconv.ParseUint(parts[1], 10, 32)
		c.Clock = uint32(n)
	}
	if len(parts) > 2 {
		n, _ := strconv.ParseUint(parts[2], 10, 16)
		c.Channels = uint16(n)
	}
}

func (p *mediaParser) extmap(val string) error {
	f := strings.Fields(val)
	if len(f) < 2 {
		return nil
	}
	num, _, _ := strings.Cut(f[0], "/")
	id, _ := strconv.ParseUint(num, 10, 8) // 0 when it is no number
	if id == 0 || id == 15 {
		return nil // RFC 8285: 0 is padding, 15 is reserved
	}
	if len(p.m.Extensions) >= maxExt {
		return refuse("too many header extensions")
	}
	p.m.Extensions[f[1]] = uint8(id)
	return nil
}

// orderRIDs puts the rids in the order of a=simulcast, lowest first by our
// protocol, and drops those it doesn't name. Without a=simulcast, rids say
// nothing.
func (p *mediaParser) orderRIDs() {
	var out []string
	for _, s := range p.simulcast {
		s = strings.TrimPrefix(s, "~")
		if slices.Contains(p.m.RIDs, s) && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	p.m.RIDs = out
}

// token reports whether s is an RFC 8866 token, as identification tags are.
func token(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

func validRID(s string) bool {
	if s == "" || len(s) > 16 {
		return false
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') {
			return false
		}
	}
	return true
}
