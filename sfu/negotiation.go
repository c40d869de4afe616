package sfu

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/sfu/negotiate"
)

// apply takes an offer's m-lines into the transport: own lines become inbound,
// recvonly pairs become slots. It returns what each line is answered with.
func (t *transport) apply(o *negotiate.Offer, intents []Intent) (map[string]negotiate.Line, error) {
	t.room.mu.Lock()
	defer t.room.mu.Unlock()
	m := &t.media
	bySource := map[string]bool{}
	byMid := map[string]Intent{}
	for _, in := range intents {
		if bySource[in.Source] {
			return nil, fmt.Errorf("source %s twice", in.Source)
		}
		bySource[in.Source] = true
		byMid[in.Mid] = in
	}
	m.learnPayloadTypes(o)
	lines := map[string]negotiate.Line{}
	var slotLines []*negotiate.Media
	for i := range o.Media {
		md := &o.Media[i]
		if md.Rejected || (md.Kind != "audio" && md.Kind != "video") {
			continue
		}
		switch md.Direction {
		case negotiate.SendOnly, negotiate.SendRecv:
			in, ok := byMid[md.Mid]
			if !ok || !kindFits(in.Source, md.Kind) || !t.owner.grants.CanPublish(in.Source) {
				continue // answered inactive
			}
			if err := m.publish(md, in); err != nil {
				return nil, err
			}
			lines[md.Mid] = negotiate.Line{Receive: true}
		case negotiate.RecvOnly:
			if t.owner.grants.Subscribe {
				slotLines = append(slotLines, md)
			}
		case negotiate.Inactive:
			delete(m.lines, md.Mid)
		}
	}
	if err := m.pairSlots(t, slotLines); err != nil {
		return nil, err
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
	if t.owner.transport == t {
		t.owner.syncPublicationsLocked()
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
		for _, c := range md.Usable() {
			m.codecs[c.PT] = codecInfo{codec: codecOf(c), apt: c.APT, known: true}
		}
		for uri, id := range md.Extensions {
			m.ext.learn(uri, id)
		}
	}
}

// publish notes that the client sends source on md.
func (m *mediaState) publish(md *negotiate.Media, in Intent) error {
	old := m.lines[md.Mid]
	if old == nil && len(m.lines) >= 8 {
		return fmt.Errorf("more than 8 own m-lines")
	}
	l := &inbound{mid: md.Mid, kind: md.Kind, source: in.Source, muted: in.Muted, rids: md.RIDs}
	if old != nil && old.source == in.Source && len(old.rids) == len(l.rids) {
		old.muted = in.Muted
		l = old
	}
	m.lines[md.Mid] = l
	if len(md.RIDs) > 0 {
		return nil // simulcast is told apart by the rid of each packet
	}
	for _, ssrc := range md.SSRCs {
		if primary, rtx := md.Repairs[ssrc]; rtx {
			m.repairs[ssrc] = primary
		} else {
			m.announced[ssrc] = l
		}
	}
	return nil
}

// pairSlots makes a slot of each audio and video m-line in turn: the n-th of
// both kinds are one slot.
func (m *mediaState) pairSlots(t *transport, lines []*negotiate.Media) error {
	known := map[string]bool{}
	var audio, video int
	for _, s := range m.slots {
		if s.audio != nil {
			known[s.audio.mid] = true
			audio++
		}
		if s.video != nil {
			known[s.video.mid] = true
			video++
		}
	}
	for _, md := range lines {
		if known[md.Mid] {
			continue
		}
		i := audio
		if md.Kind == "video" {
			i = video
		}
		if i >= maxSlots {
			return fmt.Errorf("more than %d slots", maxSlots)
		}
		for len(m.slots) <= i {
			m.slots = append(m.slots, &slot{owner: t.owner, streamID: fmt.Sprintf("slot%d", len(m.slots))})
		}
		snd := newSender(t, m.slots[i], md)
		if md.Kind == "video" {
			m.slots[i].video = snd
			video++
		} else {
			m.slots[i].audio = snd
			audio++
		}
	}
	return nil
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
