package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/cluster/redistest"
	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store/pgtest"
)

// twoNodes are two servers on one PostgreSQL and one Redis.
func twoNodes(t *testing.T) [2]*server {
	t.Helper()
	env := []string{
		"CHATMED_REDIS_URL=" + redistest.Start(t).URL(), "CHATMED_DATABASE_URL=" + pgtest.Start(t),
		"CHATMED_SECRET=one secret of both nodes, 32 bytes at least",
	}
	return [2]*server{newServer(t, env...), newServer(t, env...)}
}

// send is a request with a key of its own; it may run beside others.
func (s *server) send(method, path, key, body string, header ...string) (status int, h http.Header, text string, err error) {
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.addr()+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, "", err
	}
	req.Header.Set("X-API-Key", key)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := s.client.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	b, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	return res.StatusCode, res.Header, string(b), err
}

func (s *server) newKey(plan string, scopes ...consult.KeyScope) (string, *consult.APIKey) {
	s.t.Helper()
	secret, key, err := s.keys.Create(s.t.Context(), auth.CreateKeyRequest{Name: "platform", Plan: plan, Mode: consult.Live, Scopes: scopes})
	must(s.t, err)
	return secret, key
}

// What one node promises holds on two: one effect per Idempotency-Key, one
// quota per key, cursors and revocations of the other node.
func TestThePlatformIsOneOnTwoNodes(t *testing.T) {
	nodes := twoNodes(t)
	key, apiKey := nodes[0].newKey(consult.PlanEnterprise, consult.ScopeConsultations, consult.ScopeAdmin)

	const duplicates = 12
	answers := make([]string, duplicates)
	var wg sync.WaitGroup
	for i := range duplicates {
		wg.Go(func() {
			status, _, text, err := nodes[i%2].send("POST", "/api/v1/consultations/video/create", key,
				`{"doctor_id":"doc_1","patient_id":"pat_1"}`, "Idempotency-Key", "k1")
			answers[i] = fmt.Sprint(status, text, err)
		})
	}
	wg.Wait()
	for _, a := range answers {
		if a != answers[0] || !strings.HasPrefix(a, "200") {
			t.Errorf("%s\n%s", a, answers[0])
		}
	}

	starter, _ := nodes[0].newKey(consult.PlanStarter)
	through := 0
	for i := range 70 {
		status, _, text, err := nodes[i%2].send("GET", "/api/v1/users/me", starter, "")
		must(t, err)
		if status == http.StatusOK {
			through++
		} else if status != http.StatusTooManyRequests {
			t.Fatalf("%d %s", status, text)
		}
	}
	if through != 60 {
		t.Errorf("%d requests of 60 a minute", through)
	}

	for range 2 {
		if status, _, text, err := nodes[0].send("POST", "/api/v1/consultations/video/create", key, `{"doctor_id":"doc_1","patient_id":"pat_2"}`); status != 200 {
			t.Fatal(text, err)
		}
	}
	_, _, text, err := nodes[0].send("GET", "/api/v1/consultations/video?limit=2", key, "")
	must(t, err)
	var page struct {
		Data       []video `json:"data"`
		NextCursor string  `json:"next_cursor"`
	}
	must(t, json.Unmarshal([]byte(text), &page))
	_, _, text, err = nodes[1].send("GET", "/api/v1/consultations/video?limit=2&cursor="+page.NextCursor, key, "")
	must(t, err)
	page.NextCursor = "" // null changes nothing
	must(t, json.Unmarshal([]byte(text), &page))
	if len(page.Data) != 1 || page.NextCursor != "" {
		t.Errorf("second page %s", text)
	}

	if status, _, text, err := nodes[0].send("POST", "/api/v1/keys/"+apiKey.ID+"/revoke", key, "{}"); status != 200 {
		t.Fatal(text, err)
	}
	eventually(t, "the other node refuses the key", func() bool {
		status, _, _, err := nodes[1].send("GET", "/api/v1/users/me", key, "")
		must(t, err)
		return status == http.StatusUnauthorized
	})
}

func TestStatusOfTheWholeServer(t *testing.T) {
	onBoth(t, func(t *testing.T, srv *server) {
		status, _, text, err := srv.send("GET", "/status", "", "")
		must(t, err)
		var page struct {
			Status     string `json:"status"`
			Components []struct{ Name, Status string }
		}
		must(t, json.Unmarshal([]byte(text), &page))
		var names []string
		for _, c := range page.Components {
			names = append(names, c.Name)
			if c.Status != "operational" {
				t.Errorf("%s is %s", c.Name, c.Status)
			}
		}
		if status != 200 || page.Status != "operational" || strings.Join(names, " ") != "api signalling media database redis storage" {
			t.Errorf("%d %s", status, text)
		}
		status, h, text, err := srv.send("GET", "/status", "", "", "Accept", "text/html", "Accept-Language", "fr")
		must(t, err)
		if status != 200 || !strings.Contains(text, "Tout fonctionne") || !strings.Contains(h.Get("Content-Security-Policy"), "style-src 'sha256-") {
			t.Errorf("%d %v %.200s", status, h, text)
		}
	})
}
