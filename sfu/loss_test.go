package sfu

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
)

// lossy is an interceptor next to the wire that loses packets of video: every
// eleventh, and now and then five in a row. What is sent again over RTX is lost
// no more, and neither are the last ones, which nothing after would reveal.
type lossy struct {
	interceptor.NoOp
	incoming, outgoing bool
	left               atomic.Int64 // packets that may still be lost
	lost               atomic.Int64
}

func newLossy(incoming, outgoing bool, most int64) *lossy {
	l := &lossy{incoming: incoming, outgoing: outgoing}
	l.left.Store(most)
	return l
}

func (l *lossy) NewInterceptor(string) (interceptor.Interceptor, error) { return l, nil }

// loses decides about the n-th packet of a stream.
func (l *lossy) loses(n int) bool {
	if n < 20 || n%11 != 0 && n%60 > 4 {
		return false
	}
	if l.left.Add(-1) < 0 {
		return false
	}
	l.lost.Add(1)
	return true
}

func repairing(info *interceptor.StreamInfo) bool { return strings.HasSuffix(info.MimeType, "/rtx") }

func (l *lossy) BindLocalStream(info *interceptor.StreamInfo, w interceptor.RTPWriter) interceptor.RTPWriter {
	if !l.outgoing || !strings.HasPrefix(info.MimeType, "video/") || repairing(info) {
		return w
	}
	n := 0
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		if h.SSRC == info.SSRC {
			if n++; l.loses(n) {
				return len(payload), nil
			}
		}
		return w.Write(h, payload, a)
	})
}

func (l *lossy) BindRemoteStream(info *interceptor.StreamInfo, r interceptor.RTPReader) interceptor.RTPReader {
	if !l.incoming || !strings.HasPrefix(info.MimeType, "video/") || repairing(info) {
		return r
	}
	n := 0
	return interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		for {
			size, attr, err := r.Read(b, a)
			if n++; err != nil || !l.loses(n) {
				return size, attr, err
			}
		}
	})
}

// complete reports whether n pictures are there without a gap, with c.mu held.
func complete(packets []*rtp.Packet, n int) bool {
	sorted := dedup(packets)
	if pictures(sorted) < n {
		return false
	}
	for i := 1; i < len(sorted); i++ {
		if sorted[i].SequenceNumber != sorted[i-1].SequenceNumber+1 {
			return false
		}
	}
	return true
}

// TestLossIsRepaired loses packets before and behind the server. Every picture
// is decoded all the same.
func TestLossIsRepaired(t *testing.T) {
	const n = 120
	f := formats[0]
	// One key frame only: what is missing before another would not be asked for.
	f.encode = slices.Concat(f.encode, []string{"-g", "1000"})
	levels := steps(n)
	frames := f.pictures(t, "320x240", levels)
	for name, c := range map[string]struct{ before, behind bool }{
		"before the server": {true, false},
		"behind it":         {false, true},
		"both":              {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, reg := newTestSFUWith(t, Config{})
			up, down := newLossy(false, c.before, 20), newLossy(c.behind, false, 20)
			anna := newClient(t, s, "anna", 1, withLoss(up))
			bert := newClient(t, s, "bert", 1, withLoss(down))
			anna.connected("r")
			bert.connected("r")
			anna.play(anna.cam, frames, frameTime)
			bert.await("all pictures", func() bool { return complete(bert.videoOf("anna"), n) })
			bert.mu.Lock()
			got := dedup(bert.videoOf("anna"))
			bert.mu.Unlock()
			checkLevels(t, "after repair", f.decode(t, "320x240", got), levels)
			if c.before && (up.lost.Load() == 0 || counter(t, reg, "nacks_sent_total") == 0) {
				t.Errorf("lost %d before the server, which asked %v times", up.lost.Load(), counter(t, reg, "nacks_sent_total"))
			}
			if c.behind && (down.lost.Load() == 0 || counter(t, reg, "packets_resent_total") < float64(down.lost.Load())) {
				t.Errorf("lost %d behind the server, which repeated %v", down.lost.Load(), counter(t, reg, "packets_resent_total"))
			}
		})
	}
}

// dedup leaves out what came twice, as a jitter buffer does.
func dedup(packets []*rtp.Packet) (out []*rtp.Packet) {
	for _, p := range inOrder(packets) {
		if len(out) == 0 || out[len(out)-1].SequenceNumber != p.SequenceNumber {
			out = append(out, p)
		}
	}
	return out
}
