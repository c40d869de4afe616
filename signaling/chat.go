package signaling

import (
	"strings"

	"github.com/chatmed/chatmed/internal/consult"
)

// maxHistory bounds the chat history in one message, in bytes, so that it stays
// well within the outgoing queue.
const maxHistory = 256 << 10

// chatRequest says something to everyone in the call.
type chatRequest struct{ text string }

// chatView is a message of the chat.
type chatView struct {
	ID            string       `json:"id"`
	ParticipantID string       `json:"participant_id"`
	Role          consult.Role `json:"role"`
	Name          string       `json:"name"`
	Text          string       `json:"text"`
	SentAt        instant      `json:"sent_at"`
}

// chatMessage brings one message.
type chatMessage struct {
	Type    string   `json:"type"`
	Message chatView `json:"message"`
}

func (chatMessage) kind() string { return "chat" }

func newChatView(m *consult.ChatMessage) chatView {
	return chatView{
		ID: m.ID, ParticipantID: m.ParticipantID, Role: m.Role, Name: m.Name, Text: m.Text, SentAt: at(m.SentAt),
	}
}

func (m chatRequest) handle(s *session, id string) {
	s.inCall(id, func(r *room, p *participant) {
		if !p.grants.Chat {
			s.refuse(id, noGrant())
			return
		}
		if strings.TrimSpace(m.text) == "" {
			s.refuse(id, badMessage("The message is empty."))
			return
		}
		msg := consult.ChatMessage{
			ID: consult.NewID(consult.PrefixMessage), Scope: r.scope, SessionID: r.id,
			ParticipantID: p.id, Role: p.role, Name: p.name, Text: m.text, SentAt: r.now(),
		}
		ctx, cancel := r.call()
		err := r.srv.deps.Store.AppendChat(ctx, &msg)
		cancel()
		if err != nil {
			s.refuse(id, err)
			return
		}
		s.send(ackMessage{Type: "ack", ID: id, MessageID: msg.ID})
		out := chatMessage{Type: "chat", Message: newChatView(&msg)}
		for _, q := range r.people {
			if q.stage == inCall && q.conn != nil {
				q.conn.send(out)
			}
		}
	})
}

// history is the newest part of the chat, oldest first.
func (r *room) history() []chatView {
	ctx, cancel := r.call()
	defer cancel()
	all, err := r.srv.deps.Store.Chat(ctx, r.scope, r.id, consult.MaxChatHistory)
	if err != nil {
		r.log.Error("chat not read", "err", err)
		return []chatView{}
	}
	from, size := len(all), 0
	for from > 0 {
		size += len(encode(newChatView(&all[from-1])))
		if size > maxHistory {
			break
		}
		from--
	}
	out := make([]chatView, 0, len(all)-from)
	for i := from; i < len(all); i++ {
		out = append(out, newChatView(&all[i]))
	}
	return out
}
