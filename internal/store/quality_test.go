package store_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

func TestQualityOfStays(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		c := addConsultation(t, s, sc, "doc", "pat")
		with, without := addParticipation(t, s, c, consult.Patient), addParticipation(t, s, c, consult.Doctor)
		stay := consult.QualitySummary{
			Seconds: 10, Score: 90, Worst: 70, Levels: map[string]int{"good": 10}, RTT: 40 * time.Millisecond, DownLoss: 0.25,
		}
		must(t, s.AddQuality(t.Context(), sc, with.ID, stay))
		must(t, s.AddQuality(t.Context(), sc, with.ID, stay))
		wantCode(t, s.AddQuality(t.Context(), sc, "prt_unknown", stay), consult.NotFound)
		other := sc
		other.Mode = consult.Test
		if sc.Mode == consult.Test {
			other.Mode = consult.Live
		}
		wantCode(t, s.AddQuality(t.Context(), other, without.ID, stay), consult.NotFound)
		got, err := s.Qualities(t.Context(), sc, c.ID)
		must(t, err)
		want := stay
		want.Seconds, want.Levels = 20, map[string]int{"good": 20}
		if !reflect.DeepEqual(got, map[string]consult.QualitySummary{with.ID: want}) {
			t.Errorf("got %+v", got)
		}
		if got, err := s.Qualities(t.Context(), other, c.ID); err != nil || len(got) != 0 {
			t.Errorf("another mode sees %v, %v", got, err)
		}
	})
}
