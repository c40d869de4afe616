package api

import (
	"context"
	"net/http"
)

func (s *server) patientRoutes() []route {
	const patient = "/api/v1/patients/{patient_id}"
	return []route{
		{http.MethodGet, patient + "/export", s.exportPatient},
		{http.MethodPost, patient + "/erase", s.erasePatient},
	}
}

// exportPatient is everything that is stored of a patient, table by table.
func (s *server) exportPatient(ctx context.Context, r *request) (any, error) {
	export, err := s.Patients.ExportPatient(ctx, r.key.Scope, r.params["patient_id"])
	if err != nil {
		return nil, err
	}
	return s.openChats(r.key.Scope, export)
}

// erasePatient takes it out of every table and answers with the proof.
func (s *server) erasePatient(ctx context.Context, r *request) (any, error) {
	return s.Patients.ErasePatient(ctx, r.key.Scope, r.params["patient_id"], r.actor())
}
