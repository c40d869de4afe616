package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
	"github.com/chatmed/chatmed/recording/wording"
)

const recordingsPath = "/api/v1/recordings"

// recordable is an active consultation that may be recorded, and its doctor's and
// patient's tokens.
func (w *world) recordable() (session, doctor, patient string) {
	w.t.Helper()
	patientID := consult.NewID("pat")
	a := w.call("POST", videoPath+"create", map[string]any{"doctor_id": "doc_1", "patient_id": patientID, "enable_recording": true})
	a.ok()
	session = a.str("session_id")
	j := w.call("POST", roomPath+"/join", map[string]any{
		"doctor_id": "doc_1", "patient_id": patientID, "patient_name": "Name", "session_id": session,
	})
	j.ok()
	w.call("POST", roomPath+"/"+j.str("ticket_id")+"/admit", nil).ok()
	_, err := w.consults.Activate(w.t.Context(), w.apiKey.Scope, session, consult.System)
	must(w.t, err)
	token := func(field string) string {
		_, t, _ := strings.Cut(a.str(field), "#token=")
		return t
	}
	return session, token("doctor_join_url"), token("patient_join_url")
}

// enters puts somebody into the call.
func (w *world) enters(session string, role consult.Role, subject string) string {
	w.t.Helper()
	p := consult.Participation{
		ID: consult.NewID(consult.PrefixParticipant), Scope: w.apiKey.Scope, SessionID: session,
		Role: role, Subject: subject, Name: "Name", JoinedAt: w.clock.now(),
	}
	must(w.t, w.store.JoinParticipation(w.t.Context(), &p, nil))
	return p.ID
}

func (w *world) decides(session, participant string, role consult.Role, subject string, d consult.ConsentDecision) {
	w.t.Helper()
	shown := wording.All("Clinic", 30)[0]
	must(w.t, w.store.AppendConsent(w.t.Context(), &consult.Consent{
		ID: consult.NewID(consult.PrefixConsent), Scope: w.apiKey.Scope, SessionID: session, ParticipantID: participant,
		Role: role, Subject: subject, Decision: d, WordingID: shown.ID, Language: shown.Language,
		WordingHash: shown.Hash, Text: shown.Text, At: w.clock.now(),
	}, nil))
}

func TestStartingTellsWhomItWaitsFor(t *testing.T) { onDatabases(t, startingTellsWhomItWaitsFor) }

func startingTellsWhomItWaitsFor(t *testing.T, w *world) {
	session, _, _ := w.recordable()
	c, err := w.consults.Get(t.Context(), w.apiKey.Scope, session)
	must(t, err)
	start := func() string {
		t.Helper()
		b := w.call("POST", videoPath+session+"/recordings/start", nil).ok()
		var waits []string
		for _, p := range b["waiting_for"].([]any) {
			waits = append(waits, fmt.Sprint(p.(map[string]any)["role"]))
		}
		return fmt.Sprint(b["state"], waits)
	}
	if got := start(); got != "waiting[]" {
		t.Errorf("an empty room: %s", got)
	}
	doctor := w.enters(session, consult.Doctor, "doc_1")
	patient := w.enters(session, consult.Patient, c.PatientID)
	w.enters(session, consult.Device, "dev_1")
	w.decides(session, doctor, consult.Doctor, "doc_1", consult.ConsentGranted)
	if got := start(); got != "waiting[patient]" {
		t.Errorf("the doctor has granted: %s", got)
	}
	w.decides(session, patient, consult.Patient, c.PatientID, consult.ConsentGranted)
	if got := start(); got != "recording[]" {
		t.Errorf("both have: %s", got)
	}
	w.decides(session, patient, consult.Patient, c.PatientID, consult.ConsentWithdrawn)
	if got := start(); got != "waiting[patient]" {
		t.Errorf("the patient has withdrawn: %s", got)
	}
	list := w.call("GET", videoPath+session+"/recordings", nil).ok()["data"].([]any)
	if len(list) != 1 {
		t.Errorf("%d recordings of one start", len(list))
	}
	b := w.call("POST", videoPath+session+"/recordings/stop", nil).ok()
	if b["stopped_at"] == nil || b["session_id"] != session {
		t.Errorf("stopped: %v", b)
	}
	w.call("POST", videoPath+session+"/recordings/stop", nil).refused(409, consult.ReasonNotRecording)
}

func TestStartingIsRefusedWhereNothingMayBeRecorded(t *testing.T) {
	w := newWorld(t)
	plain, _ := w.active()
	w.call("POST", videoPath+plain+"/recordings/start", nil).refused(409, consult.ReasonRecordingDisabled)
	a := w.call("POST", videoPath+"create", map[string]any{"doctor_id": "doc_1", "patient_id": "pat_1", "enable_recording": true})
	w.call("POST", videoPath+a.str("session_id")+"/recordings/start", nil).refused(409, consult.ReasonNotActive)
	session, _, _ := w.recordable()
	w.call("POST", videoPath+session+"/end", nil).ok()
	w.call("POST", videoPath+session+"/recordings/start", nil).refused(409, consult.ReasonNotActive)
	w.call("POST", videoPath+"vs_none/recordings/start", nil).refused(404, "")
	first := w.call("POST", videoPath+session+"/recordings/stop", nil, idempotent("s"))
	first.refused(409, consult.ReasonNotRecording)
}

// The doctor's room token starts and stops, without the key's quota, and nothing
// else: no other role, consultation or operation.
func TestRoomTokensStartAndStop(t *testing.T) {
	w := newWorld(t)
	session, doctor, patient := w.recordable()
	other, otherDoctor, _ := w.recordable()
	bearer := func(token string) []option { return []option{withoutKey, withHeader("Authorization", "Bearer "+token)} }
	start := videoPath + session + "/recordings/start"
	w.call("POST", start, nil, bearer(patient)...).refused(403, consult.ReasonTokenWrongRole)
	w.call("POST", start, nil, bearer(otherDoctor)...).refused(403, consult.ReasonTokenWrongSession)
	w.call("POST", start, nil, bearer(doctor[:len(doctor)-4]+"AAAA")...).refused(401, consult.ReasonTokenSignature)
	w.call("POST", start, nil, bearer("")...).refused(401, "")
	w.call("POST", start, nil, withoutKey, withHeader("Authorization", "Basic "+doctor)).refused(401, consult.ReasonKeyMissing)
	a := w.call("POST", start, nil, bearer(doctor)...)
	a.ok()
	if a.header.Get("X-RateLimit-Remaining") != "" {
		t.Error("a token used up the key's quota")
	}
	for _, op := range w.contract.operations {
		if op.public || op.roomToken {
			continue
		}
		path := w.fixtures().request(t, op)
		w.call(op.method, path, nil, bearer(doctor)...).refused(401, consult.ReasonKeyMissing)
	}
	w.call("POST", videoPath+session+"/recordings/stop", nil, bearer(doctor)...).ok()
	entries, err := w.store.Audit(t.Context(), w.apiKey.Scope, session)
	must(t, err)
	i := slices.IndexFunc(entries, func(e store.AuditEntry) bool { return e.Event.Type == consult.EventRecordingStarted })
	if i < 0 || entries[i].Event.Actor.Kind != consult.ActorParticipant || entries[i].Event.Actor.Role != consult.Doctor {
		t.Errorf("audit of the start: %+v", entries)
	}
	_, err = w.consults.End(t.Context(), w.apiKey.Scope, other, consult.System, "")
	must(t, err)
}

// A plan without recording has none of it, through the key or its tokens.
func TestAPlanWithoutRecording(t *testing.T) {
	w := newWorld(t)
	starter, key, err := w.keys.Create(t.Context(), auth.CreateKeyRequest{
		AccountID: w.apiKey.Scope.AccountID, Name: "Starter", Plan: consult.PlanStarter, Mode: consult.Live, Scopes: allScopes,
	})
	must(t, err)
	f := w.fixtures()
	for _, op := range w.contract.operations {
		if op.public || !strings.Contains(op.path, "/recordings") {
			continue
		}
		var body any
		if op.body != nil {
			body = sample(op.body)
		}
		w.call(op.method, f.request(t, op), body, withKey(starter)).refused(403, consult.ReasonPlan)
	}
	session, _, _ := w.recordable()
	c, err := w.consults.Get(t.Context(), w.apiKey.Scope, session)
	must(t, err)
	s := &server{Deps: Deps{Tokens: w.tokens, Now: w.clock.now}}
	token, err := s.roomToken(c, key.ID, personOf(c, consult.Doctor), time.Time{})
	must(t, err)
	w.call("POST", videoPath+session+"/recordings/start", nil, withoutKey, withHeader("Authorization", "Bearer "+token)).refused(403, consult.ReasonPlan)
}

func TestListsOfRecordings(t *testing.T) { onDatabases(t, listsOfRecordings) }

func listsOfRecordings(t *testing.T, w *world) {
	a, b := w.create().str("session_id"), w.create().str("session_id")
	var ids []string
	for i := range 5 {
		w.clock.advance(time.Minute)
		session := a
		if i >= 3 {
			session = b
		}
		ids = append(ids, w.recorded(session, "pat_1", func(r *consult.Recording) {
			if i == 1 {
				r.State = consult.RecordingFailed
			}
		}).ID)
	}
	at := func(minutes int) string {
		return w.clock.now().Add(time.Duration(minutes-5) * time.Minute).UTC().Format("2006-01-02T15:04:05Z")
	}
	for query, want := range map[string][]int{
		"": {4, 3, 2, 1, 0}, "session_id=" + a: {2, 1, 0}, "state=failed": {1}, "state=ready&session_id=" + b: {4, 3},
		"doctor_id=doc_1": {4, 3, 2, 1, 0}, "doctor_id=doc_2": {}, "patient_id=pat_1": {4, 3, 2, 1, 0}, "patient_id=x": {},
		"from=" + at(4): {4, 3}, "to=" + at(2): {0}, "from=" + at(2) + "&to=" + at(4): {2, 1},
	} {
		var got, wanted []string
		for _, i := range want {
			wanted = append(wanted, ids[i])
		}
		for cursor := ""; ; {
			page := w.call("GET", recordingsPath+"?limit=2&"+query+cursor, nil)
			for _, item := range page.ok()["data"].([]any) {
				got = append(got, item.(map[string]any)["recording_id"].(string))
			}
			if page.body["next_cursor"] == nil {
				break
			}
			cursor = "&cursor=" + page.str("next_cursor")
		}
		if !slices.Equal(got, wanted) {
			t.Errorf("%s: %v, want %v", query, got, wanted)
		}
	}
	for _, bad := range []string{"state=odd", "from=yesterday", "limit=0", "session_id=a%20b"} {
		w.call("GET", recordingsPath+"?"+bad, nil).refused(400, "")
	}
	if n := len(w.call("GET", videoPath+a+"/recordings", nil).ok()["data"].([]any)); n != 3 {
		t.Errorf("%d of the consultation", n)
	}
}

func TestARecordingAsItIsShown(t *testing.T) {
	w := newWorld(t)
	r := w.recorded(w.create().str("session_id"), "pat_1")
	b := w.call("GET", recordingsPath+"/"+r.ID, nil).ok()
	want := fmt.Sprintf("ready 90.25 %d map[fingerprint:%s server:true] %v", r.Segments[0].Bytes+r.Files[0].Object.Bytes, r.Recipient, false)
	if got := fmt.Sprint(b["state"], " ", b["duration_seconds"], " ", b["size_bytes"], " ", b["key"], " ", b["legal_hold"]); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := fmt.Sprint(b["gaps"]); got != "[map[from_seconds:1 reason:consent to_seconds:2 track:<nil>] map[from_seconds:3 reason:loss to_seconds:4 track:1]]" {
		t.Errorf("gaps %s", got)
	}
	for _, secret := range []string{r.Segments[0].Key, "/seg_1", "Amina"} {
		if strings.Contains(fmt.Sprint(b), secret) {
			t.Errorf("shows %q", secret)
		}
	}
}

func TestHoldsAndDeletions(t *testing.T) { onDatabases(t, holdsAndDeletions) }

func holdsAndDeletions(t *testing.T, w *world) {
	session := w.create().str("session_id")
	r := w.recorded(session, "pat_1")
	one := recordingsPath + "/" + r.ID
	link := w.call("POST", one+"/links", map[string]any{"file_id": "composed-webm"}).str("url")
	if b := w.call("PUT", one+"/hold", map[string]any{"legal_hold": true, "note": "Case 7"}).ok(); b["legal_hold"] != true {
		t.Errorf("not held: %v", b)
	}
	w.call("DELETE", one, map[string]any{"reason": "patient_request"}).refused(409, consult.ReasonRecordingHeld)
	w.call("PUT", one+"/hold", map[string]any{"legal_hold": true}).ok() // again
	w.call("PUT", one+"/hold", map[string]any{"legal_hold": false}).ok()
	if b := w.call("DELETE", one, map[string]any{"reason": "patient_request"}).ok(); b["state"] != "deleted" || b["deleted_at"] == nil {
		t.Errorf("not deleted: %v", b)
	}
	first := w.call("GET", one, nil).body["deleted_at"]
	w.clock.advance(time.Minute)
	if b := w.call("DELETE", one, nil).ok(); b["deleted_at"] != first {
		t.Errorf("deleted again: %v", b)
	}
	w.awaitObjects(0)
	w.call("GET", one+"/files/composed-webm", nil).refused(404, "")
	w.call("GET", one+"/segments/0", nil).refused(404, "")
	w.call("GET", strings.TrimPrefix(link, publicURL), nil, withoutKey).refused(404, consult.ReasonRecordingDeleted)
	w.call("POST", one+"/links", map[string]any{"file_id": "composed-webm"}).refused(404, consult.ReasonRecordingDeleted)
	w.call("POST", one+"/compose", nil).refused(409, consult.ReasonRecordingDeleted)
	w.call("PUT", one+"/hold", map[string]any{"legal_hold": true}).refused(409, consult.ReasonRecordingDeleted)
	types := map[consult.EventType]string{}
	entries, err := w.store.Audit(t.Context(), w.apiKey.Scope, session)
	must(t, err)
	for _, e := range entries {
		types[e.Event.Type] += string(e.Event.Data)
	}
	if !strings.Contains(types[consult.EventRecordingHeld], "Case 7") || types[consult.EventRecordingReleased] == "" ||
		!strings.Contains(types[consult.EventRecordingDeleted], "patient_request") || !strings.Contains(types[consult.EventRecordingDeleted], r.Files[0].Object.SHA256) ||
		strings.Count(types[consult.EventRecordingDeleted], "recording_id") != 1 {
		t.Errorf("audit: %v", types)
	}
	running := w.recorded(session, "pat_1", func(r *consult.Recording) { r.State, r.StoppedAt = consult.RecordingPaused, nil })
	w.call("DELETE", recordingsPath+"/"+running.ID, nil).refused(409, consult.ReasonNotReady)
	w.call("DELETE", recordingsPath+"/rec_none", nil).refused(404, "")
}

// awaitObjects waits until the store has that many objects.
func (w *world) awaitObjects(want int) {
	w.t.Helper()
	w.await(fmt.Sprintf("%d objects", want), func() bool { return len(w.objects()) == want })
}

// await waits until something holds, at most 20 s.
func (w *world) await(what string, holds func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			w.t.Fatalf("not reached: %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func TestComposingAgain(t *testing.T) {
	w := newWorld(t)
	session := w.create().str("session_id")
	compose := func(change func(*consult.Recording)) *reply {
		return w.call("POST", recordingsPath+"/"+w.recorded(session, "pat_1", change).ID+"/compose", nil)
	}
	for state, queued := range map[consult.RecordingState]bool{
		consult.RecordingStored: true, consult.RecordingReady: true, consult.RecordingFailed: true, consult.RecordingComposing: true,
	} {
		before := len(w.composer.list())
		a := compose(func(r *consult.Recording) { r.State = state })
		a.ok()
		if got := len(w.composer.list()) > before; got != queued {
			t.Errorf("%s: queued %v", state, got)
		}
		if now := a.str("state"); now != "stored" && now != string(state) || now == "ready" || now == "failed" {
			t.Errorf("%s: %s", state, now)
		}
		w.call("GET", recordingsPath+"/"+a.str("recording_id")+"/files/composed-webm", nil).refused(409, consult.ReasonNotReady)
	}
	compose(func(r *consult.Recording) { r.ServerKey = false }).refused(409, consult.ReasonRecordingKey)
	compose(func(r *consult.Recording) { r.Recipient = strings.Repeat("0", 16) }).refused(409, consult.ReasonRecordingKey)
	compose(func(r *consult.Recording) { r.State = consult.RecordingRunning }).refused(409, consult.ReasonNotReady)
	compose(func(r *consult.Recording) { r.Segments = nil }).refused(409, consult.ReasonNotReady)
	without := newWorld(t, func(d *Deps) { d.Composer = nil })
	r := without.recorded(without.create().str("session_id"), "pat_1")
	if a := without.call("POST", recordingsPath+"/"+r.ID+"/compose", nil); a.status != http.StatusServiceUnavailable {
		t.Errorf("without a composer: %d %s", a.status, a.raw)
	}
}
