package signaling

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/gorilla/websocket"
)

// cuts reads chatmed_signaling_cuts_total.
func (w *world) cuts(reason string) float64 {
	w.t.Helper()
	families, err := w.metrics.Gather()
	must(w.t, err)
	for _, f := range families {
		if f.GetName() != "chatmed_signaling_cuts_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == reason {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func TestOrigin(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Origins = []string{"https://rooms.test", "http://Local.test:80"} })
	w.http.Config.ErrorLog = nil
	for origin, ok := range map[string]bool{
		"": true, "https://rooms.test": true, "https://ROOMS.test:443": true, "http://local.test": true,
		"http://rooms.test": false, "https://rooms.test.evil": false, "https://rooms.test:8443": false, "null": false,
	} {
		h := http.Header{}
		if origin != "" {
			h.Set("Origin", origin)
		}
		conn, resp, err := websocket.DefaultDialer.Dial(wsURL(w.http), h)
		if (err == nil) != ok {
			t.Errorf("%q: %v", origin, err)
		}
		if err != nil && resp.StatusCode != http.StatusForbidden {
			t.Errorf("%q: %d", origin, resp.StatusCode)
		}
		must(t, resp.Body.Close())
		if conn != nil {
			must(t, conn.Close())
		}
	}
}

func TestTooLarge(t *testing.T) {
	w := newWorld(t)
	c := w.create("pat_1", nil)
	doctor := w.enter(c, consult.Doctor, "doc_1")
	// As large as allowed is fine.
	m := `{"type":"ping","id":"big","pad":"`
	m += strings.Repeat("x", int(w.cfg.Limits.MessageBytes)-len(m)-2) + `"}`
	must(t, doctor.conn.WriteMessage(websocket.TextMessage, []byte(m)))
	doctor.await("pong", func(m obj) bool { return m["id"] == "big" })
	// Several times too large, so that much of it is unread when the server closes.
	_ = doctor.conn.WriteMessage(websocket.TextMessage, []byte(m+strings.Repeat(" ", 3*len(m))))
	doctor.closed(1009)
	w.eventually("counted", func() bool { return w.cuts(cutTooLarge) == 1 })
}

func TestFlood(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.PerSecond, c.Limits.Burst = 0.001, 5 })
	cl := w.dial()
	for range 5 {
		cl.request(obj{"type": "ping"}, "pong")
	}
	cl.send(obj{"type": "ping"})
	if e := cl.await("error"); e["reason"] != consult.ReasonTooFast || e["fatal"] != true || e["code"] != 429.0 {
		t.Fatalf("error: %v", e)
	}
	cl.closed(1008)
	w.eventually("counted", func() bool { return w.cuts(cutFlood) == 1 })
}

func TestBinary(t *testing.T) {
	w := newWorld(t)
	cl := w.dial()
	must(t, cl.conn.WriteMessage(websocket.BinaryMessage, []byte(`{"type":"ping"}`)))
	if e := cl.await("error"); e["reason"] != consult.ReasonBadMessage {
		t.Fatalf("error: %v", e)
	}
	cl.quiet()
}

// Whoever does not join is not kept, however lively the connection.
func TestFirstMessage(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.FirstMessage = 50 * time.Millisecond })
	cl := w.dial()
	cl.refused(obj{"type": "end"}, consult.Conflict, consult.ReasonNotJoined)
	cl.closed(1008)
	w.eventually("counted", func() bool { return w.cuts(cutFirst) == 1 })
}

// Whoever is in stays, past the time for the first message.
func TestFirstMessageIsEnough(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Limits.FirstMessage = 300 * time.Millisecond
		c.Limits.PingEvery, c.Limits.PongWithin = 20*time.Millisecond, patience
	})
	pings := make(chan struct{}, 100)
	doctor := w.enter(w.create("pat_1", nil), consult.Doctor, "doc_1", func(conn *websocket.Conn) {
		conn.SetPingHandler(func(string) error {
			select {
			case pings <- struct{}{}:
			default:
			}
			return nil
		})
	})
	for range 20 { // 20 pings take longer than the first message may
		select {
		case <-pings:
		case <-time.After(patience):
			t.Fatal("no ping")
		}
	}
	doctor.quiet("session", "participants")
}

// A connection that answers no ping is dropped; its participant is away.
func TestSilence(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Limits.PingEvery, c.Limits.PongWithin = 50*time.Millisecond, 500*time.Millisecond
	})
	c := w.create("pat_1", nil)
	w.enter(c, consult.Doctor, "doc_1", func(conn *websocket.Conn) {
		conn.SetPingHandler(func(string) error { return nil }) // mute
	})
	w.clock.armed(t, w.cfg.ResumeGrace, 1)
	w.eventually("counted", func() bool { return w.cuts(cutSilent) == 1 })
}

// A client that does not read is cut, not buffered without end, and the others
// are not held up.
func TestSlowReader(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Limits.PerSecond, c.Limits.Burst = 1e6, 1e6
		c.Limits.QueueBytes = 128 << 10
		c.Limits.CloseWithin = 300 * time.Millisecond
	})
	c, doctor, _ := w.call()
	token := w.token(c, consult.Observer, "obs_1")
	dialer := websocket.Dialer{NetDial: func(network, addr string) (net.Conn, error) {
		conn, err := net.Dial(network, addr)
		if err == nil {
			err = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		}
		return conn, err
	}}
	slow, resp, err := dialer.Dial(wsURL(w.http), nil)
	must(t, err)
	must(t, resp.Body.Close())
	defer func() { must(t, slow.Close()) }()
	must(t, slow.WriteJSON(joinMessage(c, token, "slow")))
	doctor.await("participants", participantsAre("doctor connected", "patient connected", "observer connected"))
	big := strings.Repeat("ä", consult.MaxChatLength)
	for sent := 0; w.cuts(cutSlow) == 0; sent++ {
		if sent > 5000 {
			t.Fatal("40 MB later the reader is not cut")
		}
		doctor.request(obj{"type": "chat", "text": big}, "ack")
	}
	doctor.await("participants", participantsAre("doctor connected", "patient connected", "observer away"))
	doctor.request(obj{"type": "chat", "text": "still here"}, "ack")
}

// The history of a long chat stays within the outgoing queue.
func TestLongHistory(t *testing.T) {
	w := newWorld(t)
	c := w.create("pat_1", nil)
	for i := range consult.MaxChatHistory {
		must(t, w.store.AppendChat(t.Context(), &consult.ChatMessage{
			ID: consult.NewID(consult.PrefixMessage), Scope: w.scope, SessionID: c.ID, ParticipantID: "prt_1",
			Role: consult.Doctor, Text: strings.Repeat("é", consult.MaxChatLength),
			SentAt: w.clock.Now().Add(time.Duration(i) * time.Second),
		}))
	}
	cl := w.dial()
	in := cl.request(joinMessage(c, w.token(c, consult.Doctor, "doc_1"), "d1"), "joined")
	chat := in["chat"].([]any)
	newest := chat[len(chat)-1].(obj)["sent_at"]
	if len(chat) < 25 || len(chat) > 40 || newest != string(at(w.clock.Now().Add((consult.MaxChatHistory-1)*time.Second))) {
		t.Fatalf("%d messages up to %v", len(chat), newest)
	}
}

func TestShutdown(t *testing.T) {
	w := newWorld(t)
	_, doctor, patient := w.call()
	idle := w.dial()
	idle.request(obj{"type": "ping"}, "pong")
	url := wsURL(w.http)
	w.stop()
	for _, cl := range []*client{doctor, patient, idle} {
		cl.closed(1001)
	}
	if _, resp, err := websocket.DefaultDialer.Dial(url, nil); err == nil {
		must(t, resp.Body.Close())
		t.Fatal("connected to a stopped server")
	}
}
