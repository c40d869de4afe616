package sfu

import (
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v4/pkg/media"

	"github.com/chatmed/chatmed/internal/impair"
	"github.com/chatmed/chatmed/sfu/congestion"
)

// TestPoorLinkOfARealClient: a PeerConnection behind a relay of 150 kbit/s, which
// a camera of 800 kbit/s does not fit through. The picture gives way, the sound
// goes on, and the publisher is told what to send.
func TestPoorLinkOfARealClient(t *testing.T) {
	free, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	told := free.LocalAddr().(*net.UDPAddr).AddrPort()
	_ = free.Close()
	s, _ := newTestSFUWith(t, Config{AdvertisePort: told.Port(), Estimate: congestion.Config{Start: 300_000}})
	relay, err := impair.NewRelay(t.Context(), impair.RelayConfig{Listen: told.String(), Target: netip.AddrPortFrom(told.Addr(), s.Port())})
	if err != nil {
		t.Fatal("the port was taken meanwhile:", err)
	}
	t.Cleanup(func() { _ = relay.Close() })
	sock, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	anna, bert := newClient(t, s, "anna", 1), newClient(t, s, "bert", 1, withSocket(sock))
	for _, c := range []*client{anna, bert} {
		c.join("r")
		c.part.Ready()
	}
	anna.film(4000)
	heard := func(n int) func() bool {
		return func() bool {
			slot := bert.slotOf("anna")
			return slot != nil && len(bert.got[slot.AudioMid]) >= n
		}
	}
	bert.await("sound", heard(20))
	if err := relay.SetClient(sock.LocalAddr().(*net.UDPAddr).AddrPort().Port(), impair.Profile{},
		impair.Profile{Rate: 150_000, Queue: 8000, Delay: 20 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	bert.await("less of the picture", func() bool {
		return len(bert.quality) > 0 && bert.quality[len(bert.quality)-1].Video != VideoFull
	})
	anna.await("what to send", func() bool {
		l := anna.sending["camera"]
		return len(l) == 1 && l[0].Active && l[0].MaxBitrate > 0 && l[0].MaxBitrate < 300_000
	})
	bert.mu.Lock()
	n := len(bert.got[bert.slotOf("anna").AudioMid])
	bert.mu.Unlock()
	bert.await("sound that goes on", heard(n+100))
}

// film sends a picture of so many bytes 25 times a second, and a voice, until the
// test ends.
func (c *client) film(size int) {
	var wg sync.WaitGroup
	c.t.Cleanup(wg.Wait)
	ctx := c.t.Context()
	wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		voice := append([]byte{0x78}, make([]byte, 60)...)
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			_ = c.mic.WriteSample(media.Sample{Data: voice, Duration: 20 * time.Millisecond})
			if n%2 == 0 {
				frame := append(vp8Frame(n%50 == 0, ""), make([]byte, size)...)
				_ = c.cam.WriteSample(media.Sample{Data: frame, Duration: 40 * time.Millisecond})
			}
		}
	})
}
