package api

import (
	"sync"
	"testing"

	"github.com/chatmed/chatmed/internal/clinical/chat"
)

var builtInChat = sync.OnceValues(chat.New)

func chatEngine(t testing.TB) *chat.Engine {
	t.Helper()
	e, err := builtInChat()
	must(t, err)
	return e
}

const chatPath = "/api/v1/chat/message"

func (w *world) chat(body map[string]any, opts ...option) *reply {
	w.t.Helper()
	a := w.call("POST", chatPath, body, opts...)
	a.ok()
	return a
}

// The documented sample, computed.
func TestTheDocumentedChat(t *testing.T) {
	w := newWorld(t)
	a := w.chat(map[string]any{
		"message": "I have had a headache for 3 days with sensitivity to light.", "session_id": "sess_abc123", "language": "en",
	})
	if a.str("urgency_level") != "moderate" || a.str("session_id") != "sess_abc123" || a.body["emergency_number"] != nil ||
		len(texts(a.body["follow_up_questions"])) == 0 || a.str("engine") != "rules" ||
		a.str("disclaimer") != "This is AI-generated health information and does not constitute medical advice." || a.str("timestamp") != "2025-01-15T10:30:00Z" {
		t.Errorf("%s", a.raw)
	}
}
