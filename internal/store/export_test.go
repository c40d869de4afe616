package store

import "github.com/chatmed/chatmed/internal/consult"

// PatientTables are the tables that hold something of a patient.
func PatientTables() []string {
	var out []string
	for _, t := range ofPatient {
		out = append(out, t.table)
	}
	return out
}

// ConsultationQuery and TicketQuery are the statements of a list's page.
func ConsultationQuery(sc consult.Scope, f consult.ConsultationFilter, after *consult.Cursor) (string, []any) {
	return keysetQuery(consultationFilter(sc, f), `SELECT `+consultationColumns+` FROM consultations`, `created_at`, `id`, descending, after, 20)
}

func TicketQuery(sc consult.Scope, f consult.TicketFilter, after *consult.Cursor) (string, []any) {
	return keysetQuery(ticketFilter(sc, f), `SELECT `+ticketColumns+` FROM tickets`, `joined_at`, `id`, descending, after, 20)
}

func ParticipationQuery(sc consult.Scope, sessionID string, after *consult.Cursor) (string, []any) {
	f := scoped(sc)
	f.add(`session_id = `, sessionID)
	return keysetQuery(f, `SELECT `+participationColumns+` FROM participations`, `joined_at`, `id`, ascending, after, 20)
}

func KeyQuery(accountID string, after *consult.Cursor) (string, []any) {
	return keysetQuery(newFilter(`k.`, accountID), `SELECT `+keyColumns+keysInOrder, `k.created_at`, `k.id`, descending, after, 20)
}

func RecordingQuery(sc consult.Scope, f consult.RecordingFilter, after *consult.Cursor) (string, []any) {
	return keysetQuery(recordingFilter(sc, f), `SELECT `+recordingColumns+` FROM recordings`, `started_at`, `id`, descending, after, 20)
}
