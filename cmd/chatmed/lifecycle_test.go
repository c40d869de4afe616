package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

// inCall brings a doctor and a patient into an active consultation.
func inCall(t *testing.T, srv *server, media bool) (doctor, patient *person) {
	t.Helper()
	v := srv.create("doc_call", "pat_call")
	doctor, patient = srv.visitor(v.DoctorJoinURL), srv.visitor(v.PatientJoinURL)
	if media {
		doctor.withMedia("doctor")
		patient.withMedia("patient")
	}
	ticketID := patient.mustWait().Waiting.TicketID
	doctor.mustJoin()
	if ack := doctor.ask(map[string]any{"type": "admit", "ticket_id": ticketID}); ack.Type != "ack" {
		t.Fatalf("admit: %+v", ack)
	}
	patient.awaitAdmitted()
	srv.awaitStatus(v.SessionID, consult.Active)
	return doctor, patient
}

func TestBothLeaving(t *testing.T) {
	srv := newServer(t, "CHATMED_EMPTY_GRACE=100ms")
	doctor, patient := inCall(t, srv, true)
	doctor.leave()
	if m := patient.await("nobody but themselves", func(m message) bool {
		return m.Type == "participants" && len(m.Participants) == 1
	}); !m.has(consult.Patient, "connected") {
		t.Errorf("still there: %+v", m.Participants)
	}
	patient.leave()
	if v := srv.awaitStatus(doctor.session, consult.Ended); v.Reason != consult.EndedByAbsence || len(v.Participants) != 0 {
		t.Errorf("%+v", v)
	}
}

func TestNobodyComesBackAfterRestart(t *testing.T) {
	srv := newServer(t, "CHATMED_EMPTY_GRACE=100ms", "CHATMED_RESUME_GRACE=100ms")
	doctor, patient := inCall(t, srv, false)
	srv.restart()
	doctor.awaitClose()
	patient.awaitClose()
	if v := srv.awaitStatus(doctor.session, consult.Ended); v.Reason != consult.EndedByAbsence || len(v.Participants) != 0 {
		t.Errorf("%+v", v)
	}
}

func TestWaitingExpires(t *testing.T) {
	var ahead atomic.Int64
	srv := newServerAt(t, func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })
	patient := srv.visitor(srv.create("doc_1", "pat_1").PatientJoinURL)
	patient.mustWait()
	unseen := srv.create("doc_1", "pat_2") // nobody ever opens it

	ahead.Store(int64(consult.DefaultLifetime + time.Second))
	if err := srv.consultations.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m := patient.awaitType("ended"); m.Reason != consult.CancelledByExpiry {
		t.Errorf("told %q", m.Reason)
	}
	patient.awaitClose()
	for _, id := range []string{patient.session, unseen.SessionID} {
		if v := srv.status(id); v.Status != consult.Cancelled || v.Reason != consult.CancelledByExpiry {
			t.Errorf("%+v", v)
		}
	}
	if q := srv.queue("doc_1"); len(q) != 0 {
		t.Errorf("still in the queue: %+v", q)
	}
	if m := patient.join(); m.Type != "error" || m.Reason != consult.ReasonCancelled {
		t.Errorf("back into an expired consultation: %+v", m)
	}
}

// TestStopDuringCall stops the server with a call running, somebody waiting and
// a request under way: the pages are told, media ends, the request is still
// answered, and then the stores are closed with every row in them.
func TestStopDuringCall(t *testing.T) {
	srv := newServer(t)
	doctor, patient := inCall(t, srv, true)
	patient.call.awaitMore("doctor")
	doctor.ask(map[string]any{"type": "chat", "text": "one moment"})
	waiting := srv.visitor(srv.create("doc_call", "pat_next").PatientJoinURL)
	waiting.mustWait()
	finish := slowCreate(t, srv)
	before, scope, dir := rows(t, srv.cfg.DataDir), scopeOf(t, srv), srv.cfg.DataDir

	a := srv.app
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- a.stop(ctx) }()
	for _, p := range []*person{doctor, patient, waiting} {
		if code := p.awaitClose(); code != websocket.CloseGoingAway {
			t.Errorf("%s was closed with %d", p.role, code)
		}
	}
	eventually(t, "the rooms are closed", func() bool { return srv.gauge("chatmed_sfu_rooms") == 0 })
	var d net.Dialer
	if c, err := d.DialContext(t.Context(), "tcp", srv.addr()); err == nil {
		t.Error("still accepts connections", c.Close())
	}
	if err := a.ready(t.Context()); err != nil {
		t.Error("the stores are closed under a request:", err)
	}
	late := finish()
	if err := <-stopped; err != nil {
		t.Error("stop:", err)
	}
	srv.app = nil
	if a.store.Ping(t.Context()) == nil || a.redis.Ping(t.Context()) == nil {
		t.Error("a store is still open")
	}

	after := rows(t, dir)
	for table, want := range before {
		for _, row := range want {
			if !slices.Contains(after[table], row) {
				t.Errorf("%s lost or changed %s", table, row)
			}
		}
	}
	checkReopened(t, dir, scope, doctor.session, late)
}

// checkReopened reads the data of a stopped server.
func checkReopened(t *testing.T, dir string, scope consult.Scope, active, late string) {
	t.Helper()
	st, err := store.Open(t.Context(), "", dir, slog.New(slog.DiscardHandler))
	must(t, err)
	defer func() { must(t, st.Close()) }()
	c, err := st.Consultation(t.Context(), scope, active)
	must(t, err)
	in, err := st.Participations(t.Context(), scope, active)
	must(t, err)
	if c.Status != consult.Active || len(in) != 2 || in[0].LeftAt != nil || in[1].LeftAt != nil {
		t.Errorf("the running call is stored as %+v with %+v", c, in)
	}
	if _, err := st.Consultation(t.Context(), scope, late); err != nil {
		t.Error("what the last request made:", err)
	}
}

// slowCreate sends half of a request and waits until the server works on it.
// finish sends the rest and returns the id of what was made.
func slowCreate(t *testing.T, srv *server) (finish func() string) {
	t.Helper()
	srv.client.CloseIdleConnections()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", srv.addr())
	must(t, err)
	const body = `{"doctor_id": "doc_late", "patient_id": "pat_late"}`
	_, err = fmt.Fprintf(c, "POST /api/v1/consultations/video/create HTTP/1.1\r\nHost: %s\r\nX-API-Key: %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", srv.addr(), srv.key, len(body), body[:9])
	must(t, err)
	eventually(t, "the request is under way", func() bool { return srv.gauge("chatmed_http_requests_in_flight") == 1 })
	return func() string {
		t.Helper()
		_, err := io.WriteString(c, body[9:])
		must(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		must(t, err)
		var v video
		must(t, json.NewDecoder(resp.Body).Decode(&v))
		must(t, errors.Join(resp.Body.Close(), c.Close()))
		if resp.StatusCode != http.StatusOK || v.SessionID == "" {
			t.Fatalf("the request under way got %d", resp.StatusCode)
		}
		return v.SessionID
	}
}

func scopeOf(t *testing.T, srv *server) consult.Scope {
	t.Helper()
	key, err := srv.keys.Authenticate(t.Context(), srv.key, netip.Addr{})
	must(t, err)
	return key.Scope
}

// rows reads every row of every table in the SQLite file of a data directory,
// but when keys were last used, and how far the audit log has come.
func rows(t *testing.T, dir string) map[string][]string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "chatmed.db")+"?_pragma=busy_timeout(4000)")
	must(t, err)
	defer func() { must(t, db.Close()) }()
	var names string
	must(t, db.QueryRowContext(t.Context(), `SELECT group_concat(name) FROM sqlite_master WHERE type = 'table'
		AND name NOT LIKE 'sqlite_%'`).Scan(&names))
	out := map[string][]string{}
	for _, table := range strings.Split(names, ",") {
		out[table] = rowsOf(t, db, table)
	}
	for _, table := range []string{"consultations", "tickets", "participations", "chat_messages", "audit_log", "outbox"} {
		if len(out[table]) == 0 {
			t.Errorf("no rows in %s", table)
		}
	}
	return out
}

func rowsOf(t *testing.T, db *sql.DB, table string) (out []string) {
	t.Helper()
	got, err := db.QueryContext(t.Context(), `SELECT * FROM `+table)
	must(t, err)
	defer func() { must(t, errors.Join(got.Err(), got.Close())) }()
	columns, err := got.Columns()
	must(t, err)
	for got.Next() {
		values := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		must(t, got.Scan(into...))
		var row strings.Builder
		for i, name := range columns {
			// quality is written when the media ends, as it does with the server.
			if name != "quality" && name != "last_used_at" && name != "audit_seq" && name != "audit_hash" && name != "audit_mac" {
				fmt.Fprintf(&row, "%s=%v ", name, values[i])
			}
		}
		out = append(out, row.String())
	}
	return out
}
