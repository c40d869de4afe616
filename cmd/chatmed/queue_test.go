package main

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/chatmed/chatmed/internal/cluster/redistest"
)

// TestTenWaitWhileRedisIsLost empties Redis, then kills it, while ten patients
// wait with their pages open. None of them does anything, and the order stays.
func TestTenWaitWhileRedisIsLost(t *testing.T) {
	const doctor = "doc_1"
	redis := redistest.Start(t)
	srv := newServer(t, "CHATMED_REDIS_URL="+redis.URL())
	var people []*person
	var order []string
	for i := range 10 {
		p := srv.visitor(srv.create(doctor, fmt.Sprintf("pat_%d", i)).PatientJoinURL)
		w := p.mustWait().Waiting
		if w.Position != i+1 {
			t.Fatalf("patient %d got place %d", i, w.Position)
		}
		people, order = append(people, p), append(order, w.TicketID)
	}
	inOrder := func() bool {
		var now []string
		for i, e := range srv.queue(doctor) {
			if e.Position != i+1 || e.Status != "ready" {
				return false
			}
			now = append(now, e.TicketID)
		}
		return slices.Equal(now, order)
	}
	eventually(t, "all ten in the queue", inOrder)

	redis.Flush()
	eventually(t, "all ten in order after a flush", inOrder)
	redis.Restart()
	eventually(t, "all ten in order after a restart", inOrder)

	// Pushes reach everyone as before.
	srv.want(http.MethodDelete, "/api/v1/consultations/waiting-room/"+order[0], nil, nil)
	for i, p := range people[1:] {
		p.await(fmt.Sprint("place ", i+1), func(m message) bool { return m.Type == "waiting" && m.Waiting.Position == i+1 })
	}
	redis.Stop()
	order = order[1:]
	eventually(t, "the nine in order without Redis", inOrder)
	late := srv.visitor(srv.create(doctor, "pat_late").PatientJoinURL)
	if w := late.mustWait().Waiting; w.Position != 10 {
		t.Errorf("who came without Redis got place %d", w.Position)
	} else {
		order = append(order, w.TicketID)
	}
	redis.Restart()
	eventually(t, "all ten in order, with who came without Redis", inOrder)
}
