package recording

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"filippo.io/age"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording/journal"
)

// Inspect reads a segment that was not ended in order, as far as it goes: the
// last frame may be torn. Without the key of it only bytes and checksum are told,
// and Tracks is nil.
func Inspect(ctx context.Context, path string, identities []age.Identity) (Summary, error) {
	f, err := os.Open(path)
	if err != nil {
		return Summary{}, fmt.Errorf("recording: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	var sum Summary
	hash := sha256.New()
	if sum.Bytes, err = io.Copy(hash, reader{ctx, f}); err != nil {
		return Summary{}, fmt.Errorf("recording: %w", err)
	}
	sum.SHA256 = hex.EncodeToString(hash.Sum(nil))
	if _, err = f.Seek(0, io.SeekStart); err != nil {
		return Summary{}, fmt.Errorf("recording: %w", err)
	}
	in := inspection{tracks: map[uint16]int{}, streams: map[uint32]uint16{}}
	for r := journal.NewReader(reader{ctx, f}, identities...); ; {
		e, err := r.Next()
		if err != nil {
			if ctx.Err() != nil {
				return Summary{}, fmt.Errorf("recording: %w", ctx.Err())
			}
			break // the end, wherever that is
		}
		in.take(e)
	}
	in.fill(&sum)
	return sum, nil
}

// reader ends with ctx.
type reader struct {
	ctx context.Context //nolint:containedctx // it lives for one call
	in  io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.in.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("recording: %w", err)
	}
	return n, err
}

// inspection is what has been read of a segment.
type inspection struct {
	any     bool
	offset  time.Duration
	rows    []consult.RecordingTrack
	tracks  map[uint16]int // index in rows
	streams map[uint32]uint16
	gaps    []consult.RecordingGap
	open    bool
	turned  time.Duration
	why     string
	last    time.Duration
	total   time.Duration
}

func (n *inspection) take(e journal.Entry) {
	n.any = true
	switch e := e.(type) {
	case journal.Header:
		n.offset, n.why = e.StartedAt.Sub(e.RecordingStartedAt), consult.RecordingNoConsent
	case journal.Track:
		if _, ok := n.tracks[e.ID]; !ok {
			n.tracks[e.ID] = len(n.rows)
			n.rows = append(n.rows, consult.RecordingTrack{
				ID: int(e.ID), ParticipantID: e.ParticipantID, Role: consult.Role(e.Role), Source: e.Source,
			})
		}
	case journal.Stream:
		n.streams[e.ID] = e.Track
	case *journal.Packet:
		n.last = max(n.last, e.At)
		n.packet(e)
	case journal.Dropped:
		if i, ok := n.tracks[e.Track]; ok {
			n.rows[i].Dropped += e.Packets
		}
	case journal.Gate:
		n.last = max(n.last, e.At)
		n.turn(e)
	}
}

func (n *inspection) packet(p *journal.Packet) {
	i, ok := n.tracks[n.streams[p.Stream]]
	if !ok {
		return
	}
	row := &n.rows[i]
	row.Packets++
	row.Bytes += int64(len(p.Payload))
	if p.Codec != "" {
		row.Codec = p.Codec
	}
	if row.Codec == journal.RED {
		row.Codec = journal.Opus
	}
}

func (n *inspection) turn(g journal.Gate) {
	switch {
	case g.Open && !n.open:
		if g.At > n.turned {
			n.gaps = append(n.gaps, consult.RecordingGap{From: n.turned + n.offset, To: g.At + n.offset, Reason: n.why})
		}
		n.open, n.turned = true, g.At
	case !g.Open && n.open:
		n.total += g.At - n.turned
		n.open, n.turned, n.why = false, g.At, g.Reason
	}
}

func (n *inspection) fill(sum *Summary) {
	if !n.any {
		return
	}
	if n.open {
		n.total += n.last - n.turned
	}
	sum.Duration, sum.Gaps, sum.End = n.total, n.gaps, n.last
	sum.Tracks = make([]consult.RecordingTrack, 0, len(n.rows))
	for _, t := range n.rows {
		if t.Packets+t.Dropped > 0 {
			sum.Tracks = append(sum.Tracks, t)
		}
	}
}
