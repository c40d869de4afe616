package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

func init() {
	moreNotScoped = append(moreNotScoped, "OpenRecordings", "ComposingRecordings", "UncomposedRecordings", "ExpiredRecordings", "UnpurgedRecordings")
	// A recording of w, made at most once in each of its scopes.
	of := func(ctx context.Context, s *store.Store, w world) (*consult.Recording, error) {
		r := newRecording(w.c)
		r.ID = "rec_of_" + w.c.ID
		err := s.CreateRecording(ctx, r, nil)
		if consult.HasCode(err, consult.Conflict) {
			err = nil
		}
		return r, err
	}
	moreReads["Recording"] = func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
		r, err := of(ctx, s, w)
		if err != nil {
			return false, err
		}
		return one(s.Recording(ctx, sc, r.ID))
	}
	moreReads["Recordings"] = func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
		if _, err := of(ctx, s, w); err != nil {
			return false, err
		}
		all, _, err := s.Recordings(ctx, sc, consult.RecordingFilter{SessionID: w.c.ID}, consult.Page{})
		return list(all, err)
	}
	moreReads["CreateRecording"] = func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
		r := newRecording(w.c)
		r.Scope = sc
		err := s.CreateRecording(ctx, r, nil)
		return err == nil, err
	}
	moreReads["UpdateRecording"] = func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
		r, err := of(ctx, s, w)
		if err != nil {
			return false, err
		}
		r.Scope = sc
		err = s.UpdateRecording(ctx, r, nil)
		return err == nil, err
	}
	moreReads["ChangeRecording"] = func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
		r, err := of(ctx, s, w)
		if err != nil {
			return false, err
		}
		return one(s.ChangeRecording(ctx, sc, r.ID, func(r *consult.Recording) ([]consult.Event, error) {
			return []consult.Event{event(sc, consult.EventRecordingHeld, w.c.ID)}, nil
		}))
	}
	moreReads["RecordingPurged"] = func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
		r, err := of(ctx, s, w)
		if err != nil {
			return false, err
		}
		err = s.RecordingPurged(ctx, sc, r.ID, base) // in its own scope a Conflict: it is not deleted
		return err == nil, err
	}
	moreReads["RecordingSettings"] = func(ctx context.Context, s *store.Store, sc consult.Scope, w world) (bool, error) {
		if sc == w.sc {
			return one(s.RecordingSettings(ctx, sc))
		}
		v, err := s.RecordingSettings(ctx, sc)
		return v != nil && v.Keeper != "", err
	}
	moreWrites["SetRecordingSettings"] = func(t *testing.T, s *store.Store, sc consult.Scope, w world) {
		at := base
		must(t, s.SetRecordingSettings(t.Context(), &consult.RecordingSettings{Scope: sc, RetentionDays: 7, UpdatedAt: &at}, nil))
		got, err := s.RecordingSettings(t.Context(), w.sc)
		must(t, err)
		if got.RetentionDays != 0 {
			t.Error("another scope's settings")
		}
	}
}

func newRecording(c *consult.Consultation) *consult.Recording {
	return &consult.Recording{
		ID: consult.NewID(consult.PrefixRecording), Scope: c.Scope, SessionID: c.ID, DoctorID: c.DoctorID, PatientID: c.PatientID,
		State: consult.RecordingPaused, StartedAt: base, Recipient: "0123456789abcdef", ServerKey: true,
	}
}

func addRecording(t *testing.T, s *store.Store, c *consult.Consultation, change func(*consult.Recording)) *consult.Recording {
	t.Helper()
	r := newRecording(c)
	if change != nil {
		change(r)
	}
	must(t, s.CreateRecording(t.Context(), r, []consult.Event{event(c.Scope, consult.EventRecordingStarted, c.ID)}))
	return r
}

func fullRecording(r *consult.Recording) {
	stopped, until := base.Add(time.Hour), base.Add(48*time.Hour)
	r.State, r.Reason, r.StoppedAt, r.RetainUntil = consult.RecordingReady, consult.RecordingStopped, &stopped, &until
	r.Duration, r.Progress = 1234567*time.Microsecond, 0.123456
	object := consult.RecordingObject{Key: "rec/1", Bytes: 1 << 40, SHA256: "ab"}
	r.Segments = []consult.RecordingObject{object}
	r.Tracks = []consult.RecordingTrack{{ID: 1, ParticipantID: "prt_1", Role: consult.Patient, Source: consult.SourceMicrophone, Codec: "opus", Packets: 1, Bytes: 2, Lost: 3, Dropped: 4}}
	r.Gaps = []consult.RecordingGap{{Track: 1, From: time.Second, To: 2 * time.Second, Reason: "loss"}}
	r.Files = []consult.RecordingFile{{ID: "composed-webm", Type: "video/webm", Object: object, PlainSize: 5, Duration: time.Minute}}
}

func TestRecordingIsReadAsWritten(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		c := addConsultation(t, s, sc, "doc", "pat")
		bare, full := addRecording(t, s, c, nil), addRecording(t, s, c, fullRecording)
		for _, want := range []*consult.Recording{bare, full} {
			got, err := s.Recording(t.Context(), sc, want.ID)
			must(t, err)
			same(t, got, want)
		}
		if len(full.Objects()) != 2 {
			t.Error("objects")
		}
		rounded := addRecording(t, s, c, func(r *consult.Recording) {
			r.StartedAt, r.Duration, r.Progress, r.Reason = base.Add(1), 1500, 7, "a\x00b"
		})
		got, err := s.Recording(t.Context(), sc, rounded.ID)
		must(t, err)
		same(t, got, rounded)
		if got.Progress != 1 || got.Reason != "ab" || got.Duration != time.Microsecond {
			t.Errorf("%+v", got)
		}
		same(t, eventTypes(t, s, c.ID)[1], "recording.started")
		_, err = s.Recording(t.Context(), sc, "rec_none")
		wantCode(t, err, consult.NotFound)
	})
}

// What captures a recording holds a copy for an hour; storing it undoes nothing
// that others decided meanwhile.
func TestUpdatingARecordingUndoesNothing(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		c := addConsultation(t, s, sc, "doc", "pat")
		r := addRecording(t, s, c, nil)
		until := base.Add(time.Hour)
		_, err := s.ChangeRecording(t.Context(), sc, r.ID, func(r *consult.Recording) ([]consult.Event, error) {
			r.LegalHold, r.RetainUntil, r.SessionID, r.PatientID = true, &until, "vs_other", "other"
			return []consult.Event{event(sc, consult.EventRecordingHeld, c.ID)}, nil
		})
		must(t, err)
		r.State, r.DoctorID = consult.RecordingRunning, "somebody"
		must(t, s.UpdateRecording(t.Context(), r, []consult.Event{event(sc, consult.EventRecordingResumed, c.ID)}))
		if !r.LegalHold || r.RetainUntil == nil || r.State != consult.RecordingRunning || r.DoctorID != "doc" || r.PatientID != "pat" || r.SessionID != c.ID {
			t.Errorf("stored %+v", r)
		}
		r.Progress = 0.5 // without an event
		later := base.Add(2 * time.Hour)
		r.RetainUntil = &later
		must(t, s.UpdateRecording(t.Context(), r, nil))
		got, err := s.Recording(t.Context(), sc, r.ID)
		must(t, err)
		same(t, got, r)
		if got.Progress != 0.5 || !got.RetainUntil.Equal(later) {
			t.Errorf("stored %+v", got)
		}
		same(t, eventTypes(t, s, c.ID)[2:], []string{"recording.held", "recording.resumed"})

		unchanged, err := s.ChangeRecording(t.Context(), sc, r.ID, func(r *consult.Recording) ([]consult.Event, error) {
			r.LegalHold = false
			return nil, nil
		})
		must(t, err)
		if !unchanged.LegalHold {
			t.Error("a change without an event was stored")
		}
		refused := consult.Errorf(consult.Conflict, consult.ReasonRecordingHeld, "held")
		_, err = s.ChangeRecording(t.Context(), sc, r.ID, func(*consult.Recording) ([]consult.Event, error) { return nil, refused })
		same(t, consult.AsError(err).Reason, consult.ReasonRecordingHeld)

		_, err = s.ChangeRecording(t.Context(), sc, r.ID, func(r *consult.Recording) ([]consult.Event, error) {
			r.LegalHold, r.State, r.Reason, r.DeletedAt, r.DeletedBy = false, consult.RecordingDeleted, consult.RecordingRemoved, &later, consult.System
			return []consult.Event{event(sc, consult.EventRecordingDeleted, c.ID)}, nil
		})
		must(t, err)
		err = s.UpdateRecording(t.Context(), r, nil)
		same(t, consult.AsError(err).Reason, consult.ReasonRecordingDeleted)
		r.State = consult.RecordingDeleted
		wantCode(t, s.UpdateRecording(t.Context(), r, nil), consult.InternalError)
	})
}

func TestRecordingsBySystem(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		other := consult.Scope{AccountID: sc.AccountID, Mode: consult.Test}
		addKey(t, s, other, "two")
		now := base.Add(time.Hour)
		made := map[string]string{}
		for i, scope := range []consult.Scope{sc, other} {
			c := addConsultation(t, s, scope, "doc", fmt.Sprint("pat_", i))
			for _, state := range []consult.RecordingState{
				consult.RecordingRunning, consult.RecordingPaused, consult.RecordingStored, consult.RecordingComposing,
				consult.RecordingReady, consult.RecordingFailed, consult.RecordingDeleted,
			} {
				for term, until := range map[string]*time.Time{"none": nil, "over": &base, "now": &now, "later": new(now.Add(1000))} {
					for _, held := range []bool{false, true} {
						r := addRecording(t, s, c, func(r *consult.Recording) {
							r.State, r.RetainUntil, r.LegalHold = state, until, held
							if state == consult.RecordingStored || state == consult.RecordingComposing {
								r.Segments = []consult.RecordingObject{{Key: "recordings/seg", Bytes: 1}}
							}
						})
						made[r.ID] = fmt.Sprint(i, state, term, held)
					}
				}
			}
		}
		names := func(all []consult.Recording, err error) map[string]bool {
			t.Helper()
			must(t, err)
			out := map[string]bool{}
			for _, r := range all {
				out[made[r.ID]] = true
			}
			return out
		}
		got := names(s.ExpiredRecordings(t.Context(), now, 100))
		if len(got) != 2*3*2 || !got["1readynowfalse"] || !got["0failedoverfalse"] || got["0readyovertrue"] {
			t.Errorf("expired: %v", got)
		}
		if got := names(s.ExpiredRecordings(t.Context(), now, 6)); len(got) != 6 || got["1readynowfalse"] {
			t.Errorf("the longest overdue: %v", got)
		}
		if got := names(s.OpenRecordings(t.Context())); len(got) != 2*2*8 || !got["1pausedlatertrue"] {
			t.Errorf("open: %v", got)
		}
		if got := names(s.ComposingRecordings(t.Context())); len(got) != 2*8 {
			t.Errorf("composing: %v", got)
		}
		uncomposed, err := s.UncomposedRecordings(t.Context(), 100)
		must(t, err)
		same(t, len(uncomposed), 2*2*8)
		for _, r := range uncomposed {
			if !r.ServerKey || len(r.Segments) == 0 || (r.State != consult.RecordingStored && r.State != consult.RecordingComposing) {
				t.Errorf("not to be composed: %+v", r)
			}
		}
		deleted, err := s.UnpurgedRecordings(t.Context(), 100)
		if got := names(deleted, err); len(got) != 2*8 || !got["0deletednonefalse"] {
			t.Errorf("unpurged: %v", got)
		}
		for range 2 {
			must(t, s.RecordingPurged(t.Context(), deleted[0].Scope, deleted[0].ID, now))
		}
		left, err := s.UnpurgedRecordings(t.Context(), 100)
		must(t, err)
		same(t, len(left), 15)
		entries, err := s.Audit(t.Context(), sc, deleted[0].SessionID)
		must(t, err)
		last := entries[len(entries)-1].Event
		if last.Type != consult.EventRecordingPurged || string(last.Data) != fmt.Sprintf(`{"objects":0,"recording_id":%q}`, deleted[0].ID) {
			t.Errorf("the last entry is %s %s", last.Type, last.Data)
		}
	})
}

func TestPagesOfRecordings(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		a, b := addConsultation(t, s, sc, "doc_a", "pat_a"), addConsultation(t, s, sc, "doc_b", "pat_b")
		for i := range 6 {
			addRecording(t, s, []*consult.Consultation{a, b}[i%2], func(r *consult.Recording) {
				r.StartedAt = base.Add(time.Duration(i) * time.Minute)
				if i == 4 {
					fullRecording(r)
				}
			})
		}
		from, to := base.Add(time.Minute), base.Add(3*time.Minute)
		for name, test := range map[string]struct {
			f    consult.RecordingFilter
			want int
		}{
			"all":     {consult.RecordingFilter{}, 6},
			"session": {consult.RecordingFilter{SessionID: a.ID}, 3},
			"doctor":  {consult.RecordingFilter{DoctorID: "doc_b"}, 3},
			"patient": {consult.RecordingFilter{PatientID: "pat_a", DoctorID: "doc_a"}, 3},
			"state":   {consult.RecordingFilter{State: consult.RecordingReady}, 1},
			"between": {consult.RecordingFilter{From: &from, To: &to}, 2},
		} {
			seen := 0
			var last time.Time
			for p := (consult.Page{Limit: 2}); ; {
				items, next, err := s.Recordings(t.Context(), sc, test.f, p)
				must(t, err)
				for _, r := range items {
					if seen++; !last.IsZero() && r.StartedAt.After(last) {
						t.Errorf("%s: not in order", name)
					}
					last = r.StartedAt
				}
				if p.After = next; next == "" {
					break
				}
			}
			same(t, seen, test.want)
		}
	})
}

func TestRecordingSettings(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		got, err := s.RecordingSettings(t.Context(), sc)
		must(t, err)
		same(t, got, &consult.RecordingSettings{Scope: sc, AccountName: "Account acc_one"})
		same(t, got.KeptBy(), "Account acc_one")
		if got.RetainUntil(base) != nil {
			t.Error("a term that nobody set")
		}
		at := base
		v := &consult.RecordingSettings{Scope: sc, Keeper: "Clinique", RetentionDays: 30, Recipient: "age1x", UpdatedAt: &at}
		for range 2 { // the second time is no change
			must(t, s.SetRecordingSettings(t.Context(), v, []consult.Event{event(sc, consult.EventRecordingsSettings, "")}))
		}
		got, err = s.RecordingSettings(t.Context(), sc)
		must(t, err)
		v.AccountName = "Account acc_one"
		same(t, got, v)
		if got.KeptBy() != "Clinique" || !got.RetainUntil(base).Equal(base.Add(30*24*time.Hour)) {
			t.Errorf("%+v", got)
		}
		v.RetentionDays, v.Recipient = 0, ""
		must(t, s.SetRecordingSettings(t.Context(), v, []consult.Event{event(sc, consult.EventRecordingsSettings, "")}))
		entries, err := s.Audit(t.Context(), sc, "")
		must(t, err)
		same(t, len(entries), 3) // the key's, and two changes
		v.UpdatedAt = nil
		if s.SetRecordingSettings(t.Context(), v, nil) == nil {
			t.Error("settings without a time")
		}
	})
}
