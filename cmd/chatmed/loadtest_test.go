package main

import (
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/loadtest"
	"github.com/chatmed/chatmed/internal/telemetry"
)

// loadOn is a small load on srv, with its metrics.
func loadOn(t *testing.T, srv *server, profile string) loadtest.Options {
	t.Helper()
	admin := httptest.NewServer(telemetry.Admin(srv.registry, srv.ready, srv.log))
	t.Cleanup(admin.Close)
	return loadtest.Options{
		Target: loadtest.TargetChatMed, URL: "http://" + srv.addr(), Key: srv.key, Admin: admin.URL, PID: os.Getpid(),
		Rooms: 1, Participants: 2, Profile: profile, Duration: 500 * time.Millisecond,
	}
}

// TestLoadArrives puts loads on a server that it can bear with ease: everything
// arrives, once, and nowhere else.
func TestLoadArrives(t *testing.T) {
	for name, change := range map[string]func(*loadtest.Options){
		"camera":      func(*loadtest.Options) {},
		"audio, RED":  func(o *loadtest.Options) { o.Profile, o.RED = loadtest.ProfileAudio, true },
		"simulcast":   func(o *loadtest.Options) { o.Profile = loadtest.ProfileSimulcast },
		"two rooms":   func(o *loadtest.Options) { o.Rooms = 2 },
		"one to many": func(o *loadtest.Options) { o.Participants, o.Publishers = 4, 1 },
		"all to all":  func(o *loadtest.Options) { o.Participants, o.Profile = 4, loadtest.ProfileSmall },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := loadOn(t, newServer(t), loadtest.ProfileCamera)
			change(&o)
			r, err := loadtest.Run(t.Context(), o, t.Output())
			must(t, err)
			p := r.Packets
			if p.Received < 20 || p.Lost != 0 || p.Repeated != 0 || p.Foreign != 0 || p.MissingStreams != 0 {
				t.Errorf("%+v", p)
			}
			if r.Latency.All.Count != int(p.Received) || r.Latency.All.P50 <= 0 || r.Latency.All.P50 > r.Latency.All.P99 {
				t.Errorf("%+v of %d", r.Latency, p.Received)
			}
			if r.Join.Answered.Count != o.Rooms*o.Participants || r.Join.FirstPacket.Count == 0 {
				t.Errorf("%+v", r.Join)
			}
			if s := r.Server; !s.Known || s.CPUPerMillion <= 0 || s.RSS == 0 || s.Goroutines == 0 {
				t.Errorf("%+v", s)
			}
			must(t, r.Print(t.Output()))
		})
	}
}

func TestSoakComesAndGoes(t *testing.T) {
	o := loadOn(t, newServer(t), loadtest.ProfileAudio)
	o.Rooms = 2
	r, err := loadtest.Soak(t.Context(), o, loadtest.SoakOptions{Joins: 12, Every: 4, Renew: 3}, t.Output())
	must(t, err)
	if r.Joins != 12 || r.Failed != 0 || len(r.Samples) != 4 || r.Samples[3].FirstPacket.Count != 4 {
		t.Errorf("%+v", r)
	}
	must(t, r.Print(t.Output()))
}
