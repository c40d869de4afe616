package api

import (
	"strings"
	"testing"

	"github.com/chatmed/chatmed/internal/consult"
)

func TestExportAndErasureOfAPatient(t *testing.T) { onDatabases(t, exportAndErasureOfAPatient) }

func exportAndErasureOfAPatient(t *testing.T, w *world) {
	t.Helper()
	const path = "/api/v1/patients/pat_1"
	w.call("GET", path+"/export", nil).refused(404, "")
	session := w.join("pat_1").str("session_id")
	a := w.call("GET", path+"/export", nil)
	if a.ok(); !strings.Contains(string(a.raw), session) || !strings.Contains(string(a.raw), "Headache") {
		t.Errorf("export %s", a.raw)
	}
	w.call("POST", path+"/erase", nil).refused(409, consult.ReasonOpenConsultation)
	w.call("POST", videoPath+session+"/cancel", nil, idempotent("k1")).ok()
	w.call("POST", videoPath+session+"/tokens", map[string]any{"role": "guest"}, idempotent("k2")).refused(409, "")
	proof := w.call("POST", path+"/erase", nil, idempotent("k3"))
	if proof.ok(); proof.body["pseudonym"] == "" || proof.body["audit_hash"] == "" {
		t.Errorf("proof %s", proof.raw)
	}
	w.call("GET", path+"/export", nil).refused(404, "")
	w.call("POST", path+"/erase", nil, idempotent("k3")).refused(404, "") // the proof is kept nowhere
	if st := w.call("GET", videoPath+session, nil); st.ok()["patient_name"] != nil || st.str("patient_id") == "pat_1" {
		t.Errorf("consultation %s", st.raw)
	}
	// An answer about nobody knows whom went with the patient.
	w.call("POST", videoPath+session+"/cancel", nil, idempotent("k1")).refused(409, consult.ReasonIdempotencyErased)
}
