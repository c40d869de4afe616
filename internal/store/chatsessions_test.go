package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

func init() {
	moreReads["ChatSession"] = func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
		if sc == w.sc {
			_ = s.SaveChatSession(ctx, chatSession(sc, "sess_scope"))
		}
		return one(s.ChatSession(ctx, sc, "sess_scope"))
	}
	moreWrites["SaveChatSession"] = func(t *testing.T, s *store.Store, sc consult.Scope, w world) {
		c := chatSession(sc, "sess_scope")
		c.Content = []byte("another scope's")
		_ = s.SaveChatSession(t.Context(), c) // there from the second time on
		got, err := s.ChatSession(t.Context(), w.sc, "sess_scope")
		must(t, err)
		same(t, string(got.Content), "sealed")
	}
	moreWrites["DeleteChatSession"] = func(t *testing.T, s *store.Store, sc consult.Scope, w world) {
		_ = s.DeleteChatSession(t.Context(), sc, "sess_scope", consult.System, base)
		_, err := s.ChatSession(t.Context(), w.sc, "sess_scope")
		must(t, err)
	}
}

func chatSession(sc consult.Scope, id string) *consult.ChatSession {
	return &consult.ChatSession{Scope: sc, ID: id, Content: []byte("sealed"), CreatedAt: base, UpdatedAt: base}
}

func TestChatSessions(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		c := chatSession(sc, "sess_a")
		must(t, s.SaveChatSession(t.Context(), c))
		same(t, c.Version, int64(1))
		wantCode(t, s.SaveChatSession(t.Context(), chatSession(sc, "sess_a")), consult.Conflict) // it is there

		mine, err := s.ChatSession(t.Context(), sc, "sess_a")
		must(t, err)
		theirs, err := s.ChatSession(t.Context(), sc, "sess_a")
		must(t, err)
		mine.Content, mine.PatientID, mine.UpdatedAt = []byte("\x00new"), "pat_chat", base.Add(time.Hour)
		must(t, s.SaveChatSession(t.Context(), mine))
		wantCode(t, s.SaveChatSession(t.Context(), theirs), consult.Conflict) // it has changed
		got, err := s.ChatSession(t.Context(), sc, "sess_a")
		must(t, err)
		same(t, string(got.Content), "\x00new")
		same(t, got.PatientID, "pat_chat")
		same(t, got.UpdatedAt, base.Add(time.Hour))

		export, err := s.ExportPatient(t.Context(), sc, "pat_chat")
		must(t, err)
		same(t, len(export.Tables["chat_sessions"]), 1)
		proof, err := s.ErasePatient(t.Context(), sc, "pat_chat", consult.System)
		must(t, err)
		same(t, proof.Tables["chat_sessions"], int64(1))
		_, err = s.ChatSession(t.Context(), sc, "sess_a")
		wantCode(t, err, consult.NotFound)

		must(t, s.SaveChatSession(t.Context(), chatSession(sc, "sess_b")))
		must(t, s.DeleteChatSession(t.Context(), sc, "sess_b", consult.System, base))
		wantCode(t, s.DeleteChatSession(t.Context(), sc, "sess_b", consult.System, base), consult.NotFound)
		wantCode(t, s.SaveChatSession(t.Context(), got), consult.Conflict) // it is gone

		old, young := chatSession(sc, "sess_old"), chatSession(sc, "sess_young")
		young.UpdatedAt = base.Add(48 * time.Hour)
		must(t, s.SaveChatSession(t.Context(), old))
		must(t, s.SaveChatSession(t.Context(), young))
		removed, err := s.Retain(t.Context(), base.Add(50*time.Hour), store.Retention{Chat: 24 * time.Hour})
		must(t, err)
		same(t, removed["chat_sessions"], int64(1))
		_, err = s.ChatSession(t.Context(), sc, "sess_young")
		must(t, err)
		must(t, s.VerifyAudit(t.Context(), sc))
	})
}
