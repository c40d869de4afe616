package sfu

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/sfu/negotiate"
)

// plan is what an offer asks for, checked before anything is changed.
type plan struct {
	own   []ownLine
	slots []*negotiate.Media // recvonly, audio and video
}

type ownLine struct {
	md     *negotiate.Media
	intent Intent
}

// planOffer sorts the m-lines. Own lines without an intent, without a grant or
// of the wrong kind are left out, and so answered inactive.
func planOffer(o *negotiate.Offer, intents []Intent, g consult.Grants) (plan, error) {
	byMid := map[string]Intent{}
	bySource := map[string]bool{}
	for _, in := range intents {
		if _, twice := byMid[in.Mid]; twice || bySource[in.Source] {
			return plan{}, fmt.Errorf("mid %q or source %q twice", in.Mid, in.Source)
		}
		byMid[in.Mid], bySource[in.Source] = in, true
	}
	var p plan
	count := map[string]int{}
	for i := range o.Media {
		md := &o.Media[i]
		if !md.Forwardable() {
			continue
		}
		switch md.Direction {
		case negotiate.SendOnly, negotiate.SendRecv:
			in, ok := byMid[md.Mid]
			if ok && kindFits(in.Source, md.Kind) && g.CanPublish(in.Source) {
				p.own = append(p.own, ownLine{md, in})
			}
		case negotiate.RecvOnly:
			if count[md.Kind]++; count[md.Kind] > maxSlots {
				return plan{}, fmt.Errorf("more than %d slots", maxSlots)
			}
			if g.Subscribe {
				p.slots = append(p.slots, md)
			}
		case negotiate.Inactive:
		}
	}
	return p, nil
}

// apply takes an offer's m-lines into the transport: own lines become inbound,
// recvonly pairs become slots; what the offer has no more goes. It returns what
// each line is answered with. After an error nothing has changed.
func (t *transport) apply(o *negotiate.Offer, intents []Intent) (map[string]negotiate.Line, error) {
	want, err := planOffer(o, intents, t.owner.grants)
	if err != nil {
		return nil, err
	}
	t.room.mu.Lock()
	defer t.room.mu.Unlock()
	m := &t.media
	m.learnPayloadTypes(o)
	m.publish(want.own)
	m.pairSlots(t, want.slots)
	if t.owner.transport == t {
		t.owner.syncPublicationsLocked()
	}
	lines := map[string]negotiate.Line{}
	for _, l := range want.own {
		lines[l.md.Mid] = negotiate.Line{Receive: true}
	}
	for _, s := range m.slots {
		for _, snd := range []*sender{s.audio, s.video} {
			if snd != nil {
				lines[snd.mid] = negotiate.Line{
					StreamID: s.streamID, TrackID: s.streamID + "-" + snd.kind,
					SSRC: snd.ssrc, RTX: snd.rtxSSRC,
				}
			}
		}
	}
	return lines, nil
}

func kindFits(source, kind string) bool {
	switch source {
	case consult.SourceMicrophone, consult.SourceScreenAudio:
		return kind == "audio"
	case consult.SourceCamera, consult.SourceScreen:
		return kind == "video"
	}
	return false
}

// learnPayloadTypes notes codecs and header extensions. Under BUNDLE a payload
// type and an extension id mean the same on every m-line (RFC 8843 section 7.1.1).
func (m *mediaState) learnPayloadTypes(o *negotiate.Offer) {
	for i := range o.Media {
		md := &o.Media[i]
		if !md.Forwardable() {
			continue
		}
		for _, c := range md.Usable() {
			m.codecs[c.PT] = codecInfo{codec: codecOf(c), apt: c.APT, known: true}
		}
		for uri, id := range md.Extensions {
			m.ext.learn(uri, id)
		}
	}
}

// publish makes the client's own lines those of the offer. A line that carries
// the same as before keeps its streams.
func (m *mediaState) publish(own []ownLine) {
	before := m.lines
	m.lines = map[string]*inbound{}
	m.announced = map[uint32]*inbound{}
	m.repairs = map[uint32]uint32{}
	for _, o := range own {
		md, in := o.md, o.intent
		l := before[md.Mid]
		if l == nil || l.source != in.Source || !slices.Equal(l.rids, md.RIDs) {
			l = &inbound{mid: md.Mid, kind: md.Kind, source: in.Source, rids: md.RIDs}
		}
		l.muted, l.nack = in.Muted, false
		for _, c := range md.Usable() {
			l.nack = l.nack || c.Asks("nack")
		}
		m.lines[md.Mid] = l
		if len(md.RIDs) > 0 {
			continue // simulcast is told apart by the rid of each packet
		}
		for _, ssrc := range md.SSRCs {
			if primary, rtx := md.Repairs[ssrc]; rtx {
				m.repairs[ssrc] = primary
			} else {
				m.announced[ssrc] = l
			}
		}
	}
	for mid, l := range before {
		if m.lines[mid] != l {
			l.gone = true
		}
	}
	m.forgetStreams()
}

// mute notes that a source was muted or unmuted.
func (m *mediaState) mute(source string, muted bool) {
	for _, l := range m.lines {
		if l.source == source {
			l.muted = muted
		}
	}
}

// pairSlots makes a slot of each audio and video m-line in turn: the n-th of
// both kinds are one slot. Lines that are offered no more leave theirs.
func (m *mediaState) pairSlots(t *transport, lines []*negotiate.Media) {
	offered := map[string]*negotiate.Media{}
	for _, md := range lines {
		offered[md.Mid] = md
	}
	known := map[string]bool{}
	for _, s := range m.slots {
		for _, at := range []**sender{&s.audio, &s.video} {
			snd := *at
			if snd == nil {
				continue
			}
			md := offered[snd.mid]
			if md == nil || md.Kind != snd.kind {
				snd.subscribeLocked(nil)
				delete(m.senders, snd.ssrc)
				delete(m.senders, snd.rtxSSRC)
				*at = nil
				continue
			}
			known[snd.mid] = true
			snd.learn(md)
		}
	}
	for _, md := range lines {
		if known[md.Mid] {
			continue
		}
		s, at := m.vacant(t, md.Kind)
		*at = newSender(t, s, md)
	}
}

// vacant is the first slot without a line of that kind.
func (m *mediaState) vacant(t *transport, kind string) (*slot, **sender) {
	for _, s := range m.slots {
		if at := s.line(kind); *at == nil {
			return s, at
		}
	}
	s := &slot{owner: t.owner, streamID: fmt.Sprintf("slot%d", len(m.slots))}
	m.slots = append(m.slots, s)
	return s, s.line(kind)
}

// newSSRC is a random, non-zero synchronisation source.
func newSSRC() uint32 {
	var b [4]byte
	for {
		_, _ = rand.Read(b[:]) // crypto/rand does not fail since Go 1.24
		if n := binary.BigEndian.Uint32(b[:]); n != 0 {
			return n
		}
	}
}

// restartIfAsked does an ICE restart when the offer carries new credentials
// (RFC 8445 section 9).
func (t *transport) restartIfAsked(o *negotiate.Offer) error {
	ufrag, pwd, err := t.agent.GetRemoteUserCredentials()
	if err == nil && ufrag == o.Ufrag && pwd == o.Pwd {
		return nil
	}
	if err := t.agent.Restart("", ""); err != nil {
		return fmt.Errorf("ice restart: %w", err)
	}
	if t.ufrag, t.pwd, err = t.agent.GetLocalUserCredentials(); err != nil {
		return err
	}
	if err := t.agent.SetRemoteCredentials(o.Ufrag, o.Pwd); err != nil {
		return err
	}
	return t.gather()
}
