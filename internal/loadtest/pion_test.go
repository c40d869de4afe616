package loadtest

import (
	"net/netip"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/loadtest/pionsfu"
)

// The yardstick forwards everything to everybody else.
func TestPionSFU(t *testing.T) {
	s, err := pionsfu.Listen(t.Context(), "127.0.0.1:0", netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	r, err := Run(t.Context(), Options{
		Target: TargetPion, URL: "http://" + s.Addr().String(), Rooms: 2, Participants: 3, Profile: ProfileSmall, Duration: 500 * time.Millisecond,
	}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if p := r.Packets; p.Received < 20 || p.Lost != 0 || p.Foreign != 0 || p.MissingStreams != 0 {
		t.Errorf("%+v", p)
	}
}
