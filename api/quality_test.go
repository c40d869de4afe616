package api

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

// quality is the store's, and what a node would know of the calls it has.
type quality struct {
	store *store.Store
	live  map[string][]consult.LegQuality
}

func (q quality) Live(sessionID string) []consult.LegQuality { return q.live[sessionID] }

func (q quality) Qualities(ctx context.Context, sc consult.Scope, sessionID string) (map[string]consult.QualitySummary, error) {
	return q.store.Qualities(ctx, sc, sessionID)
}

func TestQuality(t *testing.T) {
	w := newWorld(t)
	id, _ := w.active()
	path := videoPath + id + "/quality"
	for _, p := range []consult.Participation{
		{ID: "prt_q1", Role: consult.Doctor, Subject: "doc_1", Name: "Dr. Martin"},
		{ID: "prt_q2", Role: consult.Patient, Subject: "pat_1", Name: "Amina"},
	} {
		p.Scope, p.SessionID, p.JoinedAt = w.apiKey.Scope, id, w.clock.now()
		must(t, w.store.JoinParticipation(t.Context(), &p, nil))
	}
	must(t, w.store.AddQuality(t.Context(), w.apiKey.Scope, "prt_q2", consult.QualitySummary{
		Seconds: 60, Score: 90, Worst: 70, Levels: map[string]int{"excellent": 50, "good": 10}, DownLoss: 0.01,
	}))
	w.live[id] = []consult.LegQuality{{
		ParticipantID: "prt_q2",
		Quality:       consult.Quality{Score: 45, Level: "poor", Why: "bandwidth", Direction: "down", Video: "slideshow", Audio: "full"},
		RTT:           45500 * time.Microsecond, Estimate: 120_000, Down: consult.Flow{Loss: 0.02, Jitter: 3 * time.Millisecond, Bitrate: 90_000},
		Summary: consult.QualitySummary{Seconds: 20, Score: 50, Worst: 40, Levels: map[string]int{"poor": 20}, LeastEstimate: 80_000},
	}}
	of := func(participant string) (now, call map[string]any) {
		t.Helper()
		list, _ := w.call("GET", path, nil).ok()["participants"].([]any)
		for _, v := range list {
			if p, _ := v.(map[string]any); p["participant_id"] == participant {
				if p["name"] != nil || p["subject"] != nil {
					t.Errorf("somebody is named: %v", p)
				}
				now, _ = p["now"].(map[string]any)
				call, _ = p["call"].(map[string]any)
			}
		}
		return now, call
	}
	now, call := of("prt_q2")
	down, _ := now["down"].(map[string]any)
	if now["level"] != "poor" || fmt.Sprint(now["score"]) != "45" || fmt.Sprint(now["rtt_ms"]) != "45.5" || now["why"] != "bandwidth" || fmt.Sprint(down["jitter_ms"]) != "3" {
		t.Errorf("now %v", now)
	}
	levels, _ := call["levels"].(map[string]any)
	if fmt.Sprint(call["seconds"]) != "80" || fmt.Sprint(call["score"]) != "80" || fmt.Sprint(call["worst_score"]) != "40" || fmt.Sprint(levels["poor"]) != "20" || fmt.Sprint(call["least_estimated_bitrate"]) != "80000" {
		t.Errorf("call %v", call)
	}
	if now, call := of("prt_q1"); now != nil || call != nil {
		t.Errorf("without media: %v %v", now, call)
	}
	w.call("POST", videoPath+id+"/end", nil).ok()
	if now, call := of("prt_q2"); now != nil || fmt.Sprint(call["seconds"]) != "60" {
		t.Errorf("after the call: %v %v", now, call)
	}
	w.call("GET", path, nil, withKey(w.otherKey)).refused(404, "")
}
