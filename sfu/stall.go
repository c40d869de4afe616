package sfu

import (
	"slices"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/sfu/forward"
)

// stalledAfter is how long nothing may come of a source that is not muted.
const stalledAfter = 2 * time.Second

// stalledLocked finds the sources of which nothing comes though they are not
// muted: a microphone or a camera (a screen on which nothing moves sends nothing).
func (p *Participant) stalledLocked(now time.Time) {
	if now.Sub(p.transport.media.path.since) < stalledAfter {
		return
	}
	var stalled []string
	for source, pub := range p.publications {
		if pub.muted || source != consult.SourceMicrophone && source != consult.SourceCamera || pub.heldBackLocked() {
			continue
		}
		if now.Sub(pub.since) >= stalledAfter && now.Sub(pub.lastIn) >= stalledAfter {
			stalled = append(stalled, source)
		}
	}
	if len(stalled) == 0 && len(p.stalled) == 0 {
		return
	}
	slices.Sort(stalled)
	if !slices.Equal(stalled, p.stalled) {
		p.stalled, p.stalledDirty = stalled, true
		p.room.wake()
	}
}

// heldBackLocked reports whether the publisher was told to send nothing.
func (pub *publication) heldBackLocked() bool {
	return pub.line != nil && pub.kind == "video" && pub.send.off == forward.Layers(1<<pub.encodings()-1)
}
