package recording

import (
	"context"
	"slices"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// write makes the row say what is wanted.
func (k *keeper) write() error {
	ctx, cancel := context.WithTimeout(k.svc.ctx, callTimeout)
	defer cancel()
	k.mu.Lock()
	w := wanted{open: k.open, known: k.own && k.why != "", why: k.why, end: k.end}
	segs := make([]*segment, 0, 2)
	if k.live != nil {
		segs = append(segs, k.live.seg)
	}
	for _, t := range k.closing {
		segs = append(segs, t.seg)
	}
	k.mu.Unlock()
	var more time.Duration
	for _, g := range segs {
		more += max(0, g.Summary.Duration-g.Counted)
	}
	wrote := false
	_, err := k.svc.deps.Store.ChangeRecording(ctx, k.scope, k.id, func(r *consult.Recording) ([]consult.Event, error) {
		typ := w.apply(r)
		if wrote = typ != ""; !wrote {
			return nil, nil
		}
		r.Duration += more
		actor := consult.System
		if w.end != nil {
			actor = w.end.actor
		}
		return []consult.Event{k.svc.event(r, typ, actor, map[string]any{"seconds": int(r.Duration.Seconds())})}, nil
	})
	if consult.HasCode(err, consult.NotFound) {
		return nil
	}
	if err == nil && wrote {
		for _, g := range segs {
			g.Counted = max(g.Counted, g.Summary.Duration)
		}
		if w.end != nil {
			k.svc.metrics.ended.WithLabelValues(w.end.reason).Inc()
		}
	}
	return err
}

// wanted is what the row should say.
type wanted struct {
	open bool
	// known says that it is captured here, or was, and why it is shut.
	known bool
	why   string
	end   *ending
}

// apply changes an open row and returns the event of it, "" for no change. What
// is over stays as it is.
func (w wanted) apply(r *consult.Recording) consult.EventType {
	if r.State.Over() {
		return ""
	}
	before := r.State
	switch {
	case w.end != nil && w.end.failed:
		at := w.end.at
		r.State, r.Reason = consult.RecordingFailed, w.end.reason
		if r.StoppedAt == nil {
			r.StoppedAt = &at
		}
		return consult.EventRecordingFailed
	case w.end != nil && r.StoppedAt == nil:
		at := w.end.at
		r.State, r.Reason, r.StoppedAt = consult.RecordingPaused, w.end.reason, &at
		return consult.EventRecordingStopped
	case w.end != nil, r.StoppedAt != nil:
		return ""
	case w.open:
		r.State, r.Reason = consult.RecordingRunning, ""
		if before != r.State {
			return consult.EventRecordingResumed
		}
	case w.known:
		r.State, r.Reason = consult.RecordingPaused, w.why
		if before != r.State {
			return consult.EventRecordingPaused
		}
	}
	return ""
}

// list puts a segment that the blob store has into the row. An object whose
// recording was deleted meanwhile goes again.
func (k *keeper) list(ctx context.Context, g *segment) error {
	deleted := false
	_, err := k.svc.deps.Store.ChangeRecording(ctx, k.scope, k.id, func(r *consult.Recording) ([]consult.Event, error) {
		if deleted = r.State == consult.RecordingDeleted; deleted {
			return nil, nil
		}
		for _, s := range r.Segments {
			if s.Key == g.key() {
				return nil, nil // before a crash
			}
		}
		r.Segments = append(r.Segments, consult.RecordingObject{Key: g.key(), Bytes: g.Summary.Bytes, SHA256: g.Summary.SHA256})
		r.Duration += max(0, g.Summary.Duration-g.Counted)
		merge(r, g, r.StoppedAt == nil)
		return []consult.Event{k.svc.event(r, consult.EventRecordingSegment, consult.System, map[string]any{
			"bytes": g.Summary.Bytes, "sha256": g.Summary.SHA256, "segments": len(r.Segments),
		})}, nil
	})
	if deleted {
		return k.svc.deps.Blobs.Delete(ctx, g.key())
	}
	return err
}

// merge adds what a segment holds to the recording's tracks and gaps. What one
// participant published of one source is one track, over all segments. While the
// recording goes on a gap begins at the segment's end, of no length until the
// next one begins.
func merge(r *consult.Recording, g *segment, goesOn bool) {
	ids := map[int]int{}
	for _, t := range g.Summary.Tracks {
		found := false
		for i := range r.Tracks {
			o := &r.Tracks[i]
			if o.ParticipantID != t.ParticipantID || o.Source != t.Source {
				continue
			}
			found = true
			ids[t.ID] = o.ID
			o.Packets, o.Bytes, o.Lost, o.Dropped = o.Packets+t.Packets, o.Bytes+t.Bytes, o.Lost+t.Lost, o.Dropped+t.Dropped
			if t.Codec != "" {
				o.Codec = t.Codec
			}
		}
		if !found {
			own := t
			own.ID = len(r.Tracks) + 1
			ids[t.ID] = own.ID
			r.Tracks = append(r.Tracks, own)
		}
	}
	for i := range r.Gaps {
		if unfinished(r.Gaps[i]) && g.Offset > r.Gaps[i].From {
			r.Gaps[i].To = g.Offset
		}
	}
	r.Gaps = slices.DeleteFunc(r.Gaps, unfinished)
	for _, gap := range g.Summary.Gaps {
		gap.Track = ids[gap.Track] // 0, the whole recording, stays 0
		r.Gaps = append(r.Gaps, gap)
	}
	if goesOn {
		r.Gaps = append(r.Gaps, consult.RecordingGap{From: g.end(), To: g.end(), Reason: consult.RecordingLost})
	}
}

// unfinished reports whether a gap waits for the next segment.
func unfinished(g consult.RecordingGap) bool {
	return g.Track == 0 && g.Reason == consult.RecordingLost && g.From == g.To
}

// complete ends the recording: everything of it is in the store.
func (k *keeper) complete() error {
	k.mu.Lock()
	end, own, busy := k.end, k.own, k.live != nil || len(k.closing) > 0 || len(k.spool) > 0
	k.mu.Unlock()
	if busy {
		return nil
	}
	ctx, cancel := context.WithTimeout(k.svc.ctx, callTimeout)
	defer cancel()
	row, err := k.svc.deps.Store.Recording(ctx, k.scope, k.id)
	if consult.HasCode(err, consult.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	failed := row.State == consult.RecordingFailed && row.RetainUntil == nil
	if row.StoppedAt == nil || (row.State.Over() && !failed) {
		return nil
	}
	if !own && !k.svc.cfg.Alone && (end == nil || k.svc.now().Sub(*row.StoppedAt) < k.svc.cfg.OrphanAfter) {
		return nil // the node that captured it ends it
	}
	set, err := k.svc.deps.Store.RecordingSettings(ctx, k.scope)
	if err != nil {
		return err
	}
	until := set.RetainUntil(*row.StoppedAt)
	if failed && until == nil {
		return nil
	}
	row, err = k.svc.deps.Store.ChangeRecording(ctx, k.scope, k.id, func(r *consult.Recording) ([]consult.Event, error) {
		if r.State == consult.RecordingDeleted || r.StoppedAt == nil {
			return nil, nil
		}
		if !r.State.Over() {
			r.State = consult.RecordingStored
		}
		if r.RetainUntil == nil {
			r.RetainUntil = until
		}
		r.Gaps = slices.DeleteFunc(r.Gaps, unfinished)
		return []consult.Event{k.svc.event(r, consult.EventRecordingStored, consult.System, map[string]any{
			"seconds": int(r.Duration.Seconds()), "segments": len(r.Segments),
		})}, nil
	})
	if err != nil {
		return err
	}
	if row.State == consult.RecordingStored && row.ServerKey && len(row.Segments) > 0 && k.svc.deps.Composer != nil {
		k.svc.deps.Composer.Queue(k.scope, k.id)
	}
	return nil
}
