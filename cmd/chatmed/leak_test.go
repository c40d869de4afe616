package main

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/chatmed/chatmed/internal/consult"
)

const (
	cycles     = 200 // people who join and go again
	atOnce     = 10  // consultations in a batch
	returns    = 3   // of each doctor
	mediaEvery = 10  // one consultation in so many is with media
	// readerFiles are the descriptors of SQLite's readers, which are opened when
	// they are needed: four of two files each.
	readerFiles = 8
)

// levels are what must be back where it was once everybody has left.
type levels struct {
	Goroutines, Files           int
	MediaRooms, Rooms, Sessions int
	OpenTickets                 int
}

// TestNothingIsLeft has people come and go 200 times, in every way they can,
// and looks at what is left of them.
func TestNothingIsLeft(t *testing.T) {
	srv := newServer(t, "CHATMED_RESUME_GRACE=200ms", "CHATMED_WAITING_GRACE=200ms", "CHATMED_EMPTY_GRACE=200ms")
	sessions, _ := batch(srv) // opens what stays open: connections to the stores
	fillPool(t, srv)
	var start, now levels
	eventually(t, "everybody has left", func() bool {
		start = srv.levels()
		return start == levels{Goroutines: start.Goroutines, Files: start.Files}
	})
	for done := 0; done < cycles; {
		more, joined := batch(srv)
		sessions, done = append(sessions, more...), done+joined
	}
	defer func() {
		if t.Failed() {
			buf := make([]byte, 1<<20)
			t.Logf("from %+v to %+v\n%s", start, now, buf[:runtime.Stack(buf, true)])
		}
	}()
	eventually(t, "back at the start level", func() bool {
		now = srv.levels()
		rest := now
		rest.Goroutines, rest.Files = start.Goroutines, start.Files
		return rest == start && now.Goroutines <= start.Goroutines && now.Files <= start.Files+readerFiles
	})
	for _, id := range sessions {
		if v := srv.status(id); len(v.Participants) != 0 {
			t.Errorf("%s is %s, and still there are %+v", id, v.Status, v.Participants)
		}
	}
}

// visit is one consultation and the people who come.
type visit struct {
	doctor, patient *person
	ticket          string
}

// batch is atOnce consultations side by side, which end in different ways. It
// returns their ids and how many people joined, once everybody has gone.
func batch(srv *server) (ids []string, joined int) {
	srv.t.Helper()
	var all, calls []*visit
	for i := range atOnce {
		c := srv.create(fmt.Sprintf("doc_%d", i), fmt.Sprintf("pat_%d", i))
		v := &visit{doctor: srv.visitor(c.DoctorJoinURL), patient: srv.visitor(c.PatientJoinURL)}
		all, ids = append(all, v), append(ids, c.SessionID)
		if i%mediaEvery == 0 {
			v.doctor.withMedia("doctor")
			v.patient.withMedia("patient")
		}
		v.ticket = v.patient.mustWait().Waiting.TicketID
		switch i % 5 {
		case 1: // gives up
			v.patient.leave()
		case 2: // is lost, and does not come back within the grace period
			v.patient.cut()
		default:
			calls = append(calls, v)
		}
	}
	for _, v := range calls {
		v.doctor.mustJoin()
		if ack := v.doctor.ask(map[string]any{"type": "admit", "ticket_id": v.ticket}); ack.Type != "ack" {
			srv.t.Fatalf("admit: %+v", ack)
		}
	}
	for _, v := range calls {
		v.patient.awaitAdmitted()
		v.patient.await("the start", func(m message) bool { return m.Type == "session" && m.Session.Status == consult.Active })
		if v.patient.call != nil {
			v.patient.call.awaitMore("doctor")
		}
		for range returns { // the doctor goes and comes back
			media := v.doctor.call != nil
			v.doctor.leave()
			if media {
				v.doctor.withMedia("doctor")
			}
			v.doctor.mustJoin()
		}
	}
	for i, v := range calls {
		switch i % 3 {
		case 0: // both go, one after the other
			v.doctor.leave()
			v.patient.leave()
		case 1: // the doctor ends it
			v.doctor.ask(map[string]any{"type": "end"})
			v.patient.awaitType("ended")
		case 2: // both are lost
			v.doctor.cut()
			v.patient.cut()
		}
	}
	for _, v := range all {
		v.doctor.hangUp()
		v.patient.hangUp()
	}
	return ids, len(all) + len(calls)*(1+returns)
}

// fillPool opens every connection that the pool of Redis may ever hold, so that
// their number says nothing later.
func fillPool(t *testing.T, srv *server) {
	t.Helper()
	client, ok := srv.redis.Client().(*redis.Client)
	if !ok {
		t.Fatalf("redis client is %T", srv.redis.Client())
	}
	for range client.Options().PoolSize {
		c := client.Conn()
		defer func() { must(t, c.Close()) }()
		must(t, c.Ping(t.Context()).Err())
	}
}

func (s *server) levels() levels {
	s.t.Helper()
	s.client.CloseIdleConnections()
	l := levels{
		Goroutines: runtime.NumGoroutine(),
		MediaRooms: s.gauge("chatmed_sfu_rooms"),
		Rooms:      s.gauge("chatmed_signaling_rooms"),
		Sessions:   s.gauge("chatmed_signaling_sessions"),
	}
	fds, err := os.ReadDir("/proc/self/fd")
	must(s.t, err)
	l.Files = len(fds)
	for i := range atOnce {
		l.OpenTickets += len(s.queue(fmt.Sprintf("doc_%d", i)))
	}
	s.client.CloseIdleConnections()
	return l
}

// gauge is the value of a metric without labels.
func (s *server) gauge(name string) int {
	s.t.Helper()
	families, err := s.registry.Gather()
	must(s.t, err)
	for _, f := range families {
		if f.GetName() == name {
			return int(f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	s.t.Fatalf("no metric %s", name)
	return 0
}
