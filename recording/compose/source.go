package compose

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording/journal"
)

// packet is what is kept in memory of one; its payload lies in the spool.
type packet struct {
	at     time.Duration // of arrival, on the recording's timeline
	seq    uint64
	off    int64
	ts     uint32
	size   uint32
	codec  string
	marker bool
	key    bool
	orient int8
}

// report is a sender report; at is on the recording's timeline.
type senderReport struct {
	at  time.Duration
	ntp uint64
	rtp uint32
}

// stream is one RTP stream of one segment.
type stream struct {
	layer   uint8
	rate    float64 // of its clock, Hz
	packets []packet
	reports []senderReport

	ext   []int64 // timestamps of packets, unwrapped; by clocks.go
	clock func(ext int64) time.Duration
}

// track is what one participant published of one source, over all segments.
type track struct {
	TrackInfo
	kind    string
	names   []change[string]
	muted   []change[bool]
	streams []*stream
	fresh   []*stream // of the segment at hand
	dropped bool      // something came and was not written
}

// change is a value from a time on.
type change[T any] struct {
	at time.Duration
	to T
}

// valueAt is the value at a time, the first one before there is any.
func valueAt[T any](list []change[T], at time.Duration, before T) T {
	for _, c := range list {
		if c.at > at {
			break
		}
		before = c.to
	}
	return before
}

// span is a half-open interval, [from, to).
type span struct{ from, to time.Duration }

func (s span) has(at time.Duration) bool { return at >= s.from && at < s.to }

// opening is a time in which the gate was open, and why it ended.
type opening struct {
	span
	why string
}

// source is a recording's segments read.
type source struct {
	spool *os.File
	w     *bufio.Writer
	off   int64

	recording string
	tracks    []*track
	openings  []opening
	numbers   []int // of segments
	numbered  int   // tracks
	warnings  []string
}

func newSource(path string) (*source, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("compose: %w", err)
	}
	return &source{spool: f, w: bufio.NewWriterSize(f, 1<<20)}, nil
}

// close gives up the spool, which goes with its directory.
func (s *source) close() { _ = s.spool.Close() }

func (s *source) payload(p *packet) ([]byte, error) {
	b := make([]byte, p.size)
	if _, err := s.spool.ReadAt(b, p.off); err != nil {
		return nil, fmt.Errorf("compose: spool: %w", err)
	}
	return b, nil
}

func (s *source) readAll(ctx context.Context, in Input, salvage bool) error {
	for i, open := range in.Segments {
		r, err := open(ctx)
		if err != nil {
			return fmt.Errorf("compose: segment %d: %w", i+1, err)
		}
		err = s.read(ctx, bufio.NewReaderSize(r, 1<<20), in, salvage)
		if err = errors.Join(err, r.Close()); err != nil {
			return fmt.Errorf("compose: segment %d of those given: %w", i+1, err)
		}
	}
	if err := s.w.Flush(); err != nil {
		return fmt.Errorf("compose: spool: %w", err)
	}
	slices.SortFunc(s.openings, func(a, b opening) int { return cmp.Compare(a.from, b.from) })
	slices.Sort(s.numbers)
	for i, n := range s.numbers {
		if i > 0 && n == s.numbers[i-1] {
			return fmt.Errorf("%w: segment %d was given twice", ErrMixed, n)
		}
	}
	if n := len(s.numbers); n > 0 && s.numbers[n-1] != n-1 {
		s.warnings = append(s.warnings, "Not all segments of the recording were given; what is missing is a pause.")
	}
	for _, t := range s.tracks {
		slices.SortFunc(t.names, func(a, b change[string]) int { return cmp.Compare(a.at, b.at) })
		slices.SortFunc(t.muted, func(a, b change[bool]) int { return cmp.Compare(a.at, b.at) })
	}
	return nil
}

// segment is one being read.
type segment struct {
	*source
	number  int
	offset  time.Duration // of its start on the recording's timeline
	tracks  map[uint16]*track
	streams map[uint32]*stream
	open    bool
	from    time.Duration // the gate opened
	last    time.Duration // of the newest entry
}

// read takes a segment in.
func (s *source) read(ctx context.Context, in io.Reader, input Input, salvage bool) error {
	g := &segment{source: s, tracks: map[uint16]*track{}, streams: map[uint32]*stream{}}
	r := journal.NewReader(in, input.Identities...)
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		e, err := r.Next()
		switch {
		case err == nil:
			err = g.take(e)
			if err != nil {
				return err
			}
			continue
		case errors.Is(err, io.EOF):
		case errors.Is(err, journal.ErrTruncated) && n > 0:
			s.warnings = append(s.warnings, fmt.Sprintf("Segment %d was not ended in order; everything that was written is there.", g.number))
		case errors.Is(err, journal.ErrCorrupt) && n > 0 && salvage:
			s.warnings = append(s.warnings, fmt.Sprintf("Segment %d was changed or damaged; what comes after is left out.", g.number))
		default:
			return err
		}
		g.shut(g.last, consult.RecordingLost)
		g.count()
		return nil
	}
}

// count numbers the tracks that the segment has something of, as the recording's
// list does: in the order they came, those that were muted all the time left out.
func (g *segment) count() {
	for _, t := range g.source.tracks {
		some := t.dropped
		for _, st := range t.fresh {
			some = some || len(st.packets) > 0
		}
		if t.fresh = nil; some && t.Number == 0 {
			g.numbered++
			t.Number = g.numbered
		}
	}
}

func (g *segment) take(e journal.Entry) error {
	switch e := e.(type) {
	case journal.Header:
		return g.begin(e)
	case journal.Track:
		g.track(e)
	case journal.Stream:
		st := &stream{layer: e.Layer, rate: float64(e.ClockRate)}
		if st.rate <= 0 {
			return fmt.Errorf("%w: a stream without clock rate", journal.ErrCorrupt)
		}
		t := g.tracks[e.Track]
		t.streams = append(t.streams, st)
		t.fresh = append(t.fresh, st)
		g.streams[e.ID] = st
	case *journal.Packet:
		return g.packet(e)
	case journal.Report:
		st := g.streams[e.Stream]
		st.reports = append(st.reports, senderReport{g.at(e.At), e.NTP, e.RTP})
	case journal.Gate:
		at := g.at(e.At)
		if e.Open {
			g.opens(at)
		} else {
			g.shut(at, e.Reason)
		}
	case journal.Muted:
		t := g.tracks[e.Track]
		t.muted = append(t.muted, change[bool]{g.at(e.At), e.Muted})
	case journal.Dropped:
		g.tracks[e.Track].dropped = true
	case journal.End:
		g.shut(g.at(e.At), e.Reason)
	}
	return nil
}

// at puts a time of the segment on the recording's timeline.
func (g *segment) at(d time.Duration) time.Duration {
	at := g.offset + d
	g.last = max(g.last, at)
	return at
}

func (g *segment) begin(h journal.Header) error {
	if g.recording != "" && h.RecordingID != g.recording {
		return fmt.Errorf("%w: one is of another recording", ErrMixed)
	}
	g.recording = h.RecordingID
	g.number = h.Segment
	g.numbers = append(g.numbers, h.Segment)
	g.offset = max(0, h.StartedAt.Sub(h.RecordingStartedAt))
	g.last = g.offset
	return nil
}

func (g *segment) track(e journal.Track) {
	same := func(t *track) bool { return t.ParticipantID == e.ParticipantID && t.Source == e.Source }
	i := slices.IndexFunc(g.source.tracks, same)
	if i < 0 {
		i = len(g.source.tracks)
		g.source.tracks = append(g.source.tracks, &track{kind: e.Kind, TrackInfo: TrackInfo{
			ParticipantID: e.ParticipantID, Role: e.Role, Name: e.Name, Source: e.Source,
		}})
	}
	t := g.source.tracks[i]
	if e.Name != "" {
		t.Name = e.Name
		t.names = append(t.names, change[string]{g.last, e.Name})
	}
	g.tracks[e.ID] = t
}

func (g *segment) packet(e *journal.Packet) error {
	at := g.at(e.At)
	g.opens(at) // it is, when there are packets
	st := g.streams[e.Stream]
	st.packets = append(st.packets, packet{
		at: at, seq: e.ExtSeq, off: g.off, ts: e.Timestamp, size: uint32(len(e.Payload)), codec: e.Codec,
		marker: e.Marker, key: e.KeyFrame, orient: e.Orientation,
	})
	g.off += int64(len(e.Payload))
	if _, err := g.w.Write(e.Payload); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	return nil
}

func (g *segment) opens(at time.Duration) {
	if !g.open {
		g.open, g.from = true, at
	}
}

func (g *segment) shut(at time.Duration, why string) {
	if g.open {
		g.open = false
		g.openings = append(g.openings, opening{span{g.from, max(at, g.from)}, why})
	}
}
