package signaling

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/chatmed/chatmed/internal/consult"
)

// obj is a message as a test writes or reads it.
type obj = map[string]any

// client is a WebSocket client that checks everything it gets against the schemas.
type client struct {
	t    *testing.T
	w    *world
	conn *websocket.Conn
	in   chan obj // closed when the connection is over
	err  error    // why; valid once in is closed
	next int
	// The state learnt from joined, waiting or resumed.
	id, secret string
}

// dial connects; prepare sets the connection up before anything is read.
func (w *world) dial(prepare ...func(*websocket.Conn)) *client {
	w.t.Helper()
	conn, resp, err := websocket.DefaultDialer.Dial(wsURL(w.http), http.Header{"Origin": {ourOrigin}})
	must(w.t, err)
	must(w.t, resp.Body.Close())
	for _, f := range prepare {
		f(conn)
	}
	c := &client{t: w.t, w: w, conn: conn, in: make(chan obj, 4096)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.readAll()
	}()
	w.t.Cleanup(func() {
		_ = conn.Close() // again, unless the test has dropped it
		<-done
	})
	return c
}

func wsURL(s *httptest.Server) string { return "ws" + strings.TrimPrefix(s.URL, "http") + "/signal/v1" }

func (c *client) readAll() {
	defer close(c.in)
	for {
		_, data, err := c.conn.ReadMessage()
		if err != nil {
			c.err = err
			return
		}
		if err := c.w.schemas.check(data); err != nil {
			c.t.Errorf("%s: %v", data, err)
		}
		var m obj
		if err := json.Unmarshal(data, &m); err != nil {
			c.t.Error(err)
			return
		}
		c.in <- m
	}
}

// drop cuts the connection without a word.
func (c *client) drop() {
	c.t.Helper()
	must(c.t, c.conn.Close())
}

// send writes a message and returns its id.
func (c *client) send(m obj) string {
	c.t.Helper()
	c.next++
	id := fmt.Sprintf("m%d", c.next)
	out := obj{"id": id}
	for k, v := range m {
		out[k] = v
	}
	must(c.t, c.conn.WriteJSON(out))
	return id
}

// await returns the next message of that type that satisfies all of oks.
func (c *client) await(typ string, oks ...func(obj) bool) obj {
	c.t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	var seen []string
next:
	for {
		select {
		case m, open := <-c.in:
			if !open {
				c.t.Fatalf("no %s before the end (%v) in %v", typ, c.err, seen)
			}
			kind, _ := m["type"].(string)
			seen = append(seen, brief(m))
			if kind != typ {
				if kind == "error" {
					c.t.Logf("while waiting for %s: %v", typ, m)
				}
				continue
			}
			for _, ok := range oks {
				if !ok(m) {
					continue next
				}
			}
			if id, ok := m["participant_id"].(string); ok {
				c.id = id
				c.secret, _ = m["secret"].(string)
			}
			return m
		case <-timeout.C:
			c.t.Fatalf("waited in vain for %s in %v", typ, seen)
		}
	}
}

// awaitAll waits for one message of each kind, in any order.
func (c *client) awaitAll(want map[string]func(obj) bool) {
	c.t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for len(want) > 0 {
		select {
		case m, open := <-c.in:
			if !open {
				c.t.Fatalf("the end (%v) before %v", c.err, want)
			}
			kind, _ := m["type"].(string)
			if ok := want[kind]; ok != nil && ok(m) {
				delete(want, kind)
			}
		case <-timeout.C:
			c.t.Fatalf("waited in vain for %v", want)
		}
	}
}

func brief(m obj) string {
	b, _ := json.Marshal(m)
	return string(b[:min(len(b), 300)])
}

// request sends m and waits for the reply of that type.
func (c *client) request(m obj, reply string) obj {
	c.t.Helper()
	id := c.send(m)
	return c.await(reply, func(r obj) bool { return r["id"] == id })
}

// refused sends m and checks the error that answers it.
func (c *client) refused(m obj, code consult.Code, reason string) obj {
	c.t.Helper()
	e := c.request(m, "error")
	if e["error"] != string(code) || e["reason"] != reason || e["code"] != float64(code.Status()) {
		c.t.Fatalf("refused with %v, want %s %s", e, code, reason)
	}
	return e
}

// closed waits for the close frame and checks its code.
func (c *client) closed(code int) {
	c.t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case _, open := <-c.in:
			if open {
				continue
			}
			if !websocket.IsCloseError(c.err, code) {
				c.t.Fatalf("closed with %v, want %d", c.err, code)
			}
			return
		case <-timeout.C:
			c.t.Fatal("not closed")
		}
	}
}

// quiet checks that the server has nothing to say up to a pong, but for types.
func (c *client) quiet(but ...string) {
	c.t.Helper()
	id := c.send(obj{"type": "ping"})
	for m := range c.in {
		kind, _ := m["type"].(string)
		if kind == "pong" && m["id"] == id {
			return
		}
		if !strings.Contains(strings.Join(but, " "), kind) {
			c.t.Fatalf("unexpected %v", m)
		}
	}
	c.t.Fatal("closed")
}

// joinMessage is a join of that token with audio and video.
func joinMessage(c *consult.Consultation, token, instance string) obj {
	return obj{
		"type": "join", "protocol": 1, "token": token, "session_id": c.ID, "instance": instance,
		"offer": "offer of " + instance,
		"publications": []obj{
			{"mid": "0", "source": "microphone", "muted": false}, {"mid": "1", "source": "camera", "muted": false},
		},
	}
}

func with(m obj, more obj) obj {
	out := obj{}
	for k, v := range m {
		out[k] = v
	}
	for k, v := range more {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = v
		}
	}
	return out
}

// serverSchemas are the schemas of server messages.
type serverSchemas map[string]*jsonschema.Schema

var compileServerSchemas = sync.OnceValues(func() (serverSchemas, error) {
	c, err := schemaCompiler()
	if err != nil {
		return nil, err
	}
	c.AssertFormat()
	files, err := schemaFiles.ReadDir("schema")
	if err != nil {
		return nil, err
	}
	out := serverSchemas{}
	for _, f := range files {
		if typ, ok := strings.CutPrefix(f.Name(), "server."); ok {
			if out[strings.TrimSuffix(typ, ".json")], err = c.Compile(schemaBase + f.Name()); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
})

func (s serverSchemas) check(data []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return err
	}
	typ, _ := v.(obj)["type"].(string)
	schema := s[typ]
	if schema == nil {
		return fmt.Errorf("no schema for %q", typ)
	}
	return schema.Validate(v)
}
