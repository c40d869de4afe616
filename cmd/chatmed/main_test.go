package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/config"
	"github.com/chatmed/chatmed/internal/consult"
)

// patience bounds every wait for something that must happen.
const patience = 30 * time.Second

// asProgram makes the test binary be chatmed itself, so that tests can run it
// as a process of its own.
const asProgram = "RUN_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until ok holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit, tick := time.NewTimer(patience), time.NewTicker(10*time.Millisecond)
	defer limit.Stop()
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// server is a whole ChatMed in this process.
type server struct {
	*app
	t      *testing.T
	env    []string
	key    string
	client *http.Client
}

// newServer starts one on free ports, with a data directory of its own. env are
// settings as CHATMED_* variables.
func newServer(t *testing.T, env ...string) *server {
	t.Helper()
	return newServerAt(t, time.Now, env...)
}

func newServerAt(t *testing.T, now consult.Clock, env ...string) *server {
	t.Helper()
	s := &server{t: t, client: &http.Client{Transport: &http.Transport{}}, env: append([]string{
		"CHATMED_DATA_DIR=" + t.TempDir(), "CHATMED_ADDR=127.0.0.1:0", "CHATMED_ADMIN_ADDR=127.0.0.1:0",
		"CHATMED_UDP_PORT=0", "CHATMED_NODE_IP=127.0.0.1", "CHATMED_LOG_LEVEL=error",
	}, env...)}
	t.Cleanup(func() { s.halt() })
	s.run(now)
	secret, _, err := s.keys.Create(t.Context(), auth.CreateKeyRequest{
		Name: "test", Plan: consult.PlanEnterprise, Mode: consult.Test,
	})
	must(t, err)
	s.key = secret
	return s
}

func (s *server) run(now consult.Clock) {
	s.t.Helper()
	cfg, err := config.Parse(nil, s.env)
	must(s.t, err)
	l, err := listen(s.t.Context(), cfg)
	must(s.t, err)
	a, err := newApp(s.t.Context(), cfg, now)
	if err != nil {
		s.t.Fatal(err, l.close())
	}
	a.start(l)
	s.app = a
	// A restart is on the same ports.
	s.env = append(s.env, "CHATMED_ADDR="+l.public.Addr().String(),
		"CHATMED_UDP_PORT="+strconv.Itoa(int(a.media.Candidates()[0].Port())))
}

// halt stops the server; stopping a stopped one does nothing.
func (s *server) halt() {
	s.t.Helper()
	if s.app == nil {
		return
	}
	s.client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := s.stop(ctx); err != nil {
		s.t.Errorf("stop: %v", err)
	}
	s.app = nil
}

// restart stops the server and starts it again on the same data and ports.
func (s *server) restart() {
	s.t.Helper()
	now := s.now
	s.halt()
	s.run(now)
}

func (s *server) addr() string {
	cfg, err := config.Parse(nil, s.env)
	must(s.t, err)
	return cfg.Addr
}

// video is what the operations on consultations answer.
type video struct {
	SessionID      string         `json:"session_id"`
	Status         consult.Status `json:"status"`
	Reason         string         `json:"reason"`
	StartedAt      string         `json:"started_at"`
	DoctorJoinURL  string         `json:"doctor_join_url"`
	PatientJoinURL string         `json:"patient_join_url"`
	Participants   []struct {
		ParticipantID string       `json:"participant_id"`
		Role          consult.Role `json:"role"`
	} `json:"participants"`
}

// ticket is what the operations on the waiting room answer.
type ticket struct {
	TicketID       string               `json:"ticket_id"`
	SessionID      string               `json:"session_id"`
	Status         consult.TicketStatus `json:"status"`
	Position       int                  `json:"position"`
	PatientID      string               `json:"patient_id"`
	PatientJoinURL string               `json:"patient_join_url"`
}

// request does one request with the key and returns its status.
func (s *server) request(method, path string, body, out any) int {
	s.t.Helper()
	var send io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		must(s.t, err)
		send = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.addr()+path, send)
	must(s.t, err)
	req.Header.Set("X-API-Key", s.key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	must(s.t, err)
	b, err := io.ReadAll(resp.Body)
	must(s.t, err)
	must(s.t, resp.Body.Close())
	if out != nil && resp.StatusCode == http.StatusOK {
		must(s.t, json.Unmarshal(b, out))
	}
	return resp.StatusCode
}

// want is request of what must succeed.
func (s *server) want(method, path string, body, out any) {
	s.t.Helper()
	if code := s.request(method, path, body, out); code != http.StatusOK {
		s.t.Fatalf("%s %s: %d", method, path, code)
	}
}

func (s *server) create(doctor, patient string) video {
	s.t.Helper()
	var v video
	s.want(http.MethodPost, "/api/v1/consultations/video/create", map[string]any{
		"doctor_id": doctor, "patient_id": patient, "doctor_name": "Dr. " + doctor, "patient_name": "Name of " + patient,
	}, &v)
	return v
}

func (s *server) status(session string) video {
	s.t.Helper()
	var v video
	s.want(http.MethodGet, "/api/v1/consultations/video/"+session+"/status", nil, &v)
	return v
}

func (s *server) awaitStatus(session string, want consult.Status) video {
	s.t.Helper()
	var v video
	eventually(s.t, fmt.Sprintf("%s is %s", session, want), func() bool {
		v = s.status(session)
		return v.Status == want
	})
	return v
}

func (s *server) queue(doctor string) []ticket {
	s.t.Helper()
	var q struct {
		Tickets []ticket `json:"tickets"`
	}
	s.want(http.MethodGet, "/api/v1/consultations/waiting-room?doctor_id="+doctor, nil, &q)
	return q.Tickets
}
