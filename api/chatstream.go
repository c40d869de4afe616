package api

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"regexp"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/chatmed/chatmed/internal/clinical/chat"
)

const contentTypeEvents = "text/event-stream"

// eventStream is a result that is told while it is made, as server-sent events
// (WHATWG HTML, section 9.2). run's result is the last one.
type eventStream struct {
	run func(tell func(event string, data any)) (any, error)
}

type startBody struct {
	SessionID  string        `json:"session_id"`
	Urgency    chat.Urgency  `json:"urgency_level"`
	RedFlags   []redFlagBody `json:"red_flags"`
	Number     *string       `json:"emergency_number"`
	CrisisLine *lineBody     `json:"crisis_line"`
	Disclaimer string        `json:"disclaimer"`
}

type deltaBody struct {
	Text string `json:"text"`
}

// start tells what is known before any model is asked: above all the number.
func (t *talk) start(s *server, a *chat.Answer) {
	if t.tell == nil || t.told {
		return
	}
	t.told = true
	b := s.chatBodyOf(t, a)
	t.tell("start", startBody{b.SessionID, b.Urgency, b.RedFlags, b.Number, b.CrisisLine, b.Disclaimer})
}

var pieces = regexp.MustCompile(`[^.!?؟\n]+[.!?؟\n]*\s*`)

// events answers with a stream: start, delta for each piece of the response,
// replace when what was told before is void, and done with the whole answer; or
// error. Before the first event an error is answered as any other.
func (s *server) events(c *gin.Context, st *eventStream) {
	control := http.NewResponseController(c.Writer)
	begun, told := false, new(bytes.Buffer)
	send := func(event string, data any) {
		raw, err := json.Marshal(data)
		if err != nil {
			s.Log.ErrorContext(c.Request.Context(), "event not encoded", "err", err)
			return
		}
		if !begun {
			begun = true
			h := c.Writer.Header()
			h.Set("Content-Type", contentTypeEvents)
			h.Set("X-Accel-Buffering", "no")
			c.Writer.WriteHeader(http.StatusOK)
		}
		// Writers without deadlines (tests) have no slow peers either.
		_ = control.SetWriteDeadline(time.Now().Add(stallTimeout))
		_, _ = c.Writer.WriteString("event: " + event + "\ndata: " + string(raw) + "\n\n") // who has gone hears nothing
		c.Writer.Flush()
	}
	out, err := st.run(func(event string, data any) {
		if d, ok := data.(deltaBody); ok {
			told.WriteString(d.Text)
		}
		send(event, data)
	})
	_ = control.SetWriteDeadline(time.Time{})
	if err != nil {
		if !begun {
			s.fail(c, err)
			return
		}
		e := s.callerError(c.Request.Context(), err)
		s.Log.LogAttrs(c.Request.Context(), slog.LevelError, "stream broke off", slog.String("request_id", requestID(c)), slog.Any("err", err))
		send("error", errorBody{Error: e.Code, Message: e.Message, Code: e.Code.Status(), RequestID: requestID(c), Reason: e.Reason})
		return
	}
	if b, ok := out.(*chatBody); ok {
		s.rest(b.Response, told.String(), send)
	}
	send("done", out)
}

// rest tells what is left of a response, or takes back what it does not begin with.
func (s *server) rest(response, told string, send func(string, any)) {
	if told == "" {
		for _, p := range pieces.FindAllString(response, -1) {
			send("delta", deltaBody{p})
		}
		return
	}
	if left, ok := bytes.CutPrefix([]byte(response), []byte(told)); ok {
		if len(left) > 0 {
			send("delta", deltaBody{string(left)})
		}
		return
	}
	send("replace", deltaBody{response})
}
