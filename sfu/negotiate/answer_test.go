package negotiate_test

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/chatmed/chatmed/sfu/negotiate"
)

var candidates = []netip.AddrPort{
	netip.MustParseAddrPort("203.0.113.7:443"),
	netip.MustParseAddrPort("[2001:db8::7]:443"),
}

// params accepts all own lines and gives every other one a track.
func params(o *negotiate.Offer) negotiate.Params {
	p := negotiate.Params{
		Ufrag: "srvu", Pwd: "srvpasswordsrvpassword", SessionID: 7, Version: 1, Candidates: candidates,
		Fingerprint: "sha-256 " + strings.TrimSuffix(strings.Repeat("AB:", 32), ":"),
		Accept:      map[string]negotiate.Line{},
	}
	for i, m := range o.Media {
		switch m.Direction {
		case negotiate.SendOnly, negotiate.SendRecv:
			p.Accept[m.Mid] = negotiate.Line{Receive: true}
		case negotiate.RecvOnly:
			l := negotiate.Line{StreamID: "slot0", TrackID: "slot0-" + m.Kind, SSRC: uint32(1000 + i)}
			if m.Kind == "video" {
				l.RTX = uint32(2000 + i)
			}
			p.Accept[m.Mid] = l
		case negotiate.Inactive:
		}
	}
	return p
}

// check holds an answer against its offer: the same m-lines in the same order,
// only codecs, extensions and directions that were offered.
func check(t testing.TB, o *negotiate.Offer, answer string) {
	t.Helper()
	var d sdp.SessionDescription
	if err := d.UnmarshalString(answer); err != nil {
		t.Fatalf("answer: %v\n%s", err, answer)
	}
	if len(d.MediaDescriptions) != len(o.Media) {
		t.Fatalf("%d m-lines answered with %d", len(o.Media), len(d.MediaDescriptions))
	}
	for i, md := range d.MediaDescriptions {
		m := o.Media[i]
		if mid, _ := md.Attribute("mid"); mid != m.Mid || md.MediaName.Media != m.Kind {
			t.Fatalf("m-line %d: %s %q for %s %q", i, md.MediaName.Media, mid, m.Kind, m.Mid)
		}
		if rejected := md.MediaName.Port.Value == 0; rejected == m.Forwardable() {
			t.Errorf("mid %s: rejected %t, forwardable %t", m.Mid, rejected, m.Forwardable())
		}
		has := func(key string) bool { _, ok := md.Attribute(key); return ok }
		sends := m.Direction == negotiate.SendOnly || m.Direction == negotiate.SendRecv
		takes := m.Direction == negotiate.RecvOnly || m.Direction == negotiate.SendRecv
		if has("recvonly") && !sends || has("sendonly") && !takes || has("sendrecv") {
			t.Errorf("mid %s: offered %s, answered with %v", m.Mid, m.Direction, md.Attributes)
		}
		for _, f := range md.MediaName.Formats {
			if m.Forwardable() && !strings.Contains(" "+formats(m)+" ", " "+f+" ") {
				t.Errorf("mid %s: payload type %s was not offered", m.Mid, f)
			}
		}
	}
}

func formats(m negotiate.Media) string {
	var out []string
	for _, c := range m.Codecs {
		out = append(out, strconv.Itoa(int(c.PT)))
	}
	return strings.Join(out, " ")
}

func TestAnswers(t *testing.T) {
	for _, name := range []string{"chromium-simulcast", "chromium-plain", "firefox", "pion"} {
		t.Run(name, func(t *testing.T) {
			o := parse(t, sample(t, name))
			answer := o.Answer(params(o))
			check(t, o, answer)
			if n := strings.Count(answer, "a=candidate:"); n != len(candidates) {
				t.Errorf("%d candidates", n)
			}
			if strings.Contains(answer, "goog-remb") || strings.Contains(answer, "abs-send-time") {
				t.Error("something was agreed that the server doesn't do")
			}
			for _, m := range o.Media {
				if len(m.RIDs) > 0 && !strings.Contains(answer, "a=simulcast:recv "+strings.Join(m.RIDs, ";")) {
					t.Errorf("no simulcast in\n%s", answer)
				}
			}
		})
	}
}

// Whatever the caller accepts, the direction fits the offered one.
func TestDirectionsFit(t *testing.T) {
	for _, dir := range []string{"sendonly", "recvonly", "sendrecv", "inactive"} {
		for _, l := range []negotiate.Line{{}, {Receive: true}, {SSRC: 5, StreamID: "s", TrackID: "t"}} {
			o := parse(t, edited(t, "a=mid:0\na=sendonly", "a=mid:0\na="+dir))
			p := params(o)
			p.Accept["0"] = l
			check(t, o, o.Answer(p))
		}
	}
}

// A PeerConnection takes the answer to its own offer.
func TestPionTakesTheAnswer(t *testing.T) {
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pc.Close() }()
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		for _, dir := range []webrtc.RTPTransceiverDirection{webrtc.RTPTransceiverDirectionSendonly, webrtc.RTPTransceiverDirectionRecvonly} {
			if _, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: dir}); err != nil {
				t.Fatal(err)
			}
		}
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	o := parse(t, offer.SDP)
	answer := o.Answer(params(o))
	check(t, o, answer)
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		t.Fatalf("%v\n%s", err, answer)
	}
}

// A lost sound is asked for where the client repeats it, and promised again only
// over RTX.
func TestSoundIsRepeated(t *testing.T) {
	for _, tt := range []struct {
		name string
		line negotiate.Line
		rtx  bool
		want bool
	}{
		{"the client's own", negotiate.Line{Receive: true}, false, true},
		{"a slot without RTX", negotiate.Line{SSRC: 5, StreamID: "s", TrackID: "t"}, false, false},
		{"a slot with RTX", negotiate.Line{SSRC: 5, RTX: 6, StreamID: "s", TrackID: "t"}, true, true},
	} {
		o := parse(t, sample(t, "chromium-plain"))
		var mid string
		for i := range o.Media {
			m := &o.Media[i]
			if m.Kind != "audio" || mid != "" {
				continue
			}
			mid = m.Mid
			m.Direction = negotiate.SendOnly
			if !tt.line.Receive {
				m.Direction = negotiate.RecvOnly
			}
			for j := range m.Codecs {
				if m.Codecs[j].Name == "opus" {
					m.Codecs[j].Feedback = append(m.Codecs[j].Feedback, "nack")
					if tt.rtx {
						m.Codecs = append(m.Codecs, negotiate.Codec{PT: 121, Name: "rtx", Clock: 48000, Channels: 2, APT: m.Codecs[j].PT, Fmtp: "apt=111"})
					}
				}
			}
		}
		p := params(o)
		p.Accept[mid] = tt.line
		answer := o.Answer(p)
		if got := strings.Contains(answer, "a=rtcp-fb:111 nack\r\n"); got != tt.want {
			t.Errorf("%s: nack %v", tt.name, got)
		}
		if got := strings.Contains(answer, "a=rtpmap:121 rtx/48000"); got != tt.rtx {
			t.Errorf("%s: RTX %v", tt.name, got)
		}
	}
}
