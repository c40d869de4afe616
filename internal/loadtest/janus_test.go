package loadtest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// fakeJanus answers each request by what reply says of its `janus` and body.
func fakeJanus(t *testing.T, reply func(m map[string]any) []any) string {
	t.Helper()
	up := websocket.Upgrader{Subprotocols: []string{"janus-protocol"}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		for {
			var m map[string]any
			if c.ReadJSON(&m) != nil {
				return
			}
			for _, out := range reply(m) {
				if out == nil || c.WriteJSON(out) != nil {
					return
				}
			}
		}
	}))
	t.Cleanup(srv.Close)
	return "ws" + strings.TrimPrefix(srv.URL, "http")
}

func success(m map[string]any, id int) []any {
	return []any{map[string]any{"janus": "success", "transaction": m["transaction"], "data": map[string]any{"id": id}}}
}

func TestJanusSession(t *testing.T) {
	events := make(chan janusMessage, 1)
	url := fakeJanus(t, func(m map[string]any) []any {
		switch m["janus"] {
		case "create":
			return success(m, 7)
		case "attach":
			return success(m, 8)
		case "destroy":
			return success(m, 0)
		}
		if m["session_id"] != 7.0 || m["handle_id"] != 8.0 {
			t.Errorf("asked %v", m)
		}
		event := func(data map[string]any) map[string]any {
			return map[string]any{"janus": "event", "transaction": m["transaction"], "sender": 8, "plugindata": map[string]any{"data": data}}
		}
		switch body, _ := m["body"].(map[string]any); body["request"] {
		case "join":
			other := event(map[string]any{"videoroom": "event", "publishers": []any{map[string]any{"id": 5}}})
			delete(other, "transaction")
			joined := event(map[string]any{"videoroom": "joined", "private_id": 9})
			joined["jsep"] = map[string]any{"type": "answer", "sdp": "v=0"}
			return []any{map[string]any{"janus": "ack", "transaction": m["transaction"]}, other, joined}
		case "hang":
			return []any{nil} // closes
		}
		return []any{event(map[string]any{"error_code": 426, "error": "No such room"})}
	})
	ctx := t.Context()
	s, err := dialJanus(ctx, url, func(m janusMessage) { events <- m })
	if err != nil {
		t.Fatal(err)
	}
	handle, err := s.attach(ctx)
	if err != nil || handle != 8 {
		t.Fatal(handle, err)
	}
	m, err := s.message(ctx, handle, map[string]any{"request": "join"}, "offer", "v=0")
	if err != nil || m.Plugin.Data.PrivateID != 9 || m.JSEP == nil || m.JSEP.SDP != "v=0" {
		t.Errorf("%+v %v", m, err)
	}
	if e := <-events; e.Plugin.Data.Publishers[0].ID != 5 {
		t.Errorf("%+v", e)
	}
	if _, err := s.message(ctx, handle, map[string]any{"request": "start"}, ""); err == nil || !strings.Contains(err.Error(), "No such room") {
		t.Errorf("refused with %v", err)
	}
	if _, err := s.message(ctx, handle, map[string]any{"request": "hang"}, ""); err == nil {
		t.Error("an answer from a closed connection")
	}
	if err := s.close(ctx); err == nil {
		t.Error("a closed connection was closed in order")
	}
}
