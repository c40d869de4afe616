package capture

import (
	"slices"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording/journal"
	"github.com/chatmed/chatmed/sfu"
)

// book keeps the accounts of a segment: it numbers tracks and streams, and knows
// what is there, what is not, and why. Owned by the writer, guarded by
// Recorder.mu for those who ask.
type book struct {
	started time.Time
	offset  time.Duration // of the segment in the recording
	people  map[string]Person
	tracks  []*trackBook
	streams map[*sfu.Stream]*streamBook

	open      bool
	turnedAt  time.Duration // when the gate last opened or shut
	openFor   time.Duration // without the present opening
	why       string        // it is shut
	pauses    []consult.RecordingGap
	lastAt    time.Duration // of the newest entry
	safeAt    time.Duration // and of the newest that is on disk
	bytes     int64
	sum       string
	entries   []journal.Entry // scratch
	packet    journal.Packet  // scratch
	abandoned bool
}

type trackBook struct {
	journal.Track
	muted          bool
	codec          string
	packets, bytes int64
	safe           struct{ packets, bytes int64 } // on disk
	dropped        int64
	storage        []span
	streams        []*streamBook
}

func newBook(started time.Time, offset time.Duration) *book {
	return &book{
		started: started, offset: offset, people: map[string]Person{}, streams: map[*sfu.Stream]*streamBook{},
		why: consult.RecordingNoConsent,
	}
}

func (k *book) since(at time.Time) time.Duration { return at.Sub(k.started) }

// take enters an item and returns what is to be written for it, valid until the
// next call.
func (k *book) take(b *batch, it *item) []journal.Entry {
	k.entries = k.entries[:0]
	at := k.since(it.at)
	k.lastAt = max(k.lastAt, at)
	switch it.kind {
	case itemPeople:
		k.meet(it.people)
	case itemGate:
		k.turn(it.on, at, it.what)
		k.entries = append(k.entries, journal.Gate{At: at, Open: it.on, Reason: it.what})
	case itemMuted:
		k.mute(it.who, it.what, it.on, at)
	case itemReport:
		s := k.stream(it.stream)
		k.entries = append(k.entries, journal.Report{Stream: s.id, At: at, NTP: it.ext, RTP: it.ts})
	case itemEnd:
		k.turn(false, at, it.what)
		k.entries = append(k.entries, journal.End{At: at, Reason: it.what})
	case itemPacket:
		s := k.stream(it.stream)
		s.arrived(it.ext, it.ext, at, at, it.start)
		s.track.packets++
		s.track.bytes += int64(it.size)
		if it.codec != "" {
			s.track.codec = it.codec
		}
		k.packet = journal.Packet{
			Stream: s.id, At: at, ExtSeq: it.ext, Timestamp: it.ts, Marker: it.marker, KeyFrame: it.key,
			Codec: it.codec, Orientation: it.orientation, Payload: b.data[it.off : it.off+it.size],
		}
		k.entries = append(k.entries, &k.packet)
	}
	return k.entries
}

// takeDrops enters what did not fit.
func (k *book) takeDrops(drops []drop) []journal.Entry {
	k.entries = k.entries[:0]
	byTrack := map[uint16]*journal.Dropped{}
	var order []uint16
	for i := range drops {
		d := &drops[i]
		s := k.stream(d.stream)
		from, to := k.since(d.from), k.since(d.to)
		s.arrived(d.min, d.max, from, to, d.start)
		s.track.drop(d.packets, span{from, to})
		e := byTrack[s.track.ID]
		if e == nil {
			e = &journal.Dropped{Track: s.track.ID, From: from}
			byTrack[s.track.ID] = e
			order = append(order, s.track.ID)
		}
		e.From, e.To, e.Packets = min(e.From, from), max(e.To, to), e.Packets+d.packets
	}
	for _, id := range order {
		k.entries = append(k.entries, *byTrack[id])
	}
	return k.entries
}

func (t *trackBook) drop(packets int64, when span) {
	t.dropped += packets
	t.storage = merge(append(t.storage, when))
}

// meet notes who is who, and announces tracks anew whose name has changed.
func (k *book) meet(people []Person) {
	for _, p := range people {
		k.people[p.ParticipantID] = p
		for _, t := range k.tracks {
			if t.ParticipantID == p.ParticipantID && (t.Name != p.Name || t.Role != string(p.Role)) {
				t.Name, t.Role = p.Name, string(p.Role)
				k.entries = append(k.entries, t.Track)
			}
		}
	}
}

// track returns a source's track, announcing it when it is new.
func (k *book) track(participantID, source string) *trackBook {
	for _, t := range k.tracks {
		if t.ParticipantID == participantID && t.Source == source {
			return t
		}
	}
	kind := "audio"
	if source == consult.SourceCamera || source == consult.SourceScreen {
		kind = "video"
	}
	who := k.people[participantID]
	t := &trackBook{Track: journal.Track{
		ID: uint16(len(k.tracks) + 1), ParticipantID: participantID, Role: string(who.Role), Name: who.Name, Source: source, Kind: kind,
	}}
	k.tracks = append(k.tracks, t)
	k.entries = append(k.entries, t.Track)
	return t
}

func (k *book) stream(of *sfu.Stream) *streamBook {
	if s := k.streams[of]; s != nil {
		return s
	}
	t := k.track(of.ParticipantID, of.Source)
	s := &streamBook{id: uint32(len(k.streams) + 1), track: t}
	k.streams[of] = s
	t.streams = append(t.streams, s)
	k.entries = append(k.entries, journal.Stream{ID: s.id, Track: t.ID, Layer: uint8(of.Layer), ClockRate: of.ClockRate})
	return s
}

func (k *book) mute(who, source string, on bool, at time.Duration) {
	known := slices.ContainsFunc(k.tracks, func(t *trackBook) bool { return t.ParticipantID == who && t.Source == source })
	if !known && !on {
		return // as everything is at first
	}
	if t := k.track(who, source); t.muted != on {
		t.muted = on
		k.entries = append(k.entries, journal.Muted{Track: t.ID, At: at, Muted: on})
	}
}

// turn follows the gate.
func (k *book) turn(open bool, at time.Duration, why string) {
	switch {
	case open && !k.open:
		k.pause(k.turnedAt, at)
		k.open, k.turnedAt = true, at
	case !open && k.open:
		k.openFor += at - k.turnedAt
		k.open, k.turnedAt, k.why = false, at, why
	}
}

func (k *book) pause(from, to time.Duration) {
	if to > from {
		k.pauses = append(k.pauses, consult.RecordingGap{From: from + k.offset, To: to + k.offset, Reason: k.why})
	}
}

// wrote notes that everything entered is on disk.
func (k *book) wrote(out *tally) {
	k.bytes, k.sum, k.safeAt = out.bytes, out.sha256(), k.lastAt
	for _, t := range k.tracks {
		t.safe.packets, t.safe.bytes = t.packets, t.bytes
	}
}

// giveUp enters the end by the storage: what is not on disk is dropped.
func (k *book) giveUp(now time.Time, rest *batch) {
	k.abandoned = true
	k.dropRest(rest)
	if k.open {
		k.openFor += max(0, k.safeAt-k.turnedAt)
		k.open, k.turnedAt = false, max(k.safeAt, k.turnedAt)
	}
	k.why = consult.RecordingDisk
	k.pause(k.turnedAt, max(k.since(now), k.lastAt))
}

// dropRest enters what will not be written any more.
func (k *book) dropRest(rest *batch) {
	for i := range rest.items {
		if it := &rest.items[i]; it.kind == itemPacket {
			k.stream(it.stream).track.dropped++
		}
	}
	for i := range rest.drops {
		k.stream(rest.drops[i].stream).track.dropped += rest.drops[i].packets
	}
}

// summary is what is on disk.
func (k *book) summary() Summary {
	out := Summary{Bytes: k.bytes, SHA256: k.sum, Duration: k.openFor, Gaps: slices.Clone(k.pauses)}
	switch {
	case k.abandoned:
	case k.open:
		out.Duration += k.lastAt - k.turnedAt
	case k.lastAt > k.turnedAt:
		out.Gaps = append(out.Gaps, consult.RecordingGap{From: k.turnedAt + k.offset, To: k.lastAt + k.offset, Reason: k.why})
	}
	for _, t := range k.tracks {
		if t.packets+t.dropped == 0 {
			continue // muted all the time, and nothing came
		}
		row := consult.RecordingTrack{
			ID: int(t.ID), ParticipantID: t.ParticipantID, Role: consult.Role(t.Role), Source: t.Source, Codec: t.codec,
			Packets: t.safe.packets, Bytes: t.safe.bytes, Dropped: t.dropped,
		}
		if row.Codec == journal.RED {
			row.Codec = journal.Opus
		}
		if k.abandoned {
			row.Dropped += t.packets - t.safe.packets
		}
		var loss []span
		for _, s := range t.streams {
			row.Lost += s.lost()
			loss = append(loss, s.spans()...)
		}
		out.Tracks = append(out.Tracks, row)
		out.Gaps = append(out.Gaps, k.gaps(t, merge(loss), "loss")...)
		out.Gaps = append(out.Gaps, k.gaps(t, t.storage, consult.RecordingDisk)...)
	}
	return out
}

func (k *book) gaps(t *trackBook, spans []span, reason string) []consult.RecordingGap {
	out := make([]consult.RecordingGap, 0, len(spans))
	for _, s := range spans {
		out = append(out, consult.RecordingGap{Track: int(t.ID), From: s.from + k.offset, To: s.to + k.offset, Reason: reason})
	}
	return out
}
