package waitingroom

import (
	"context"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

func (m *memory) FindOrCreateConsultation(ctx context.Context, c *consult.Consultation, now time.Time, _ []consult.Event) (*consult.Consultation, bool, error) {
	if got, err := m.FindOpenConsultation(ctx, c.Scope, c.DoctorID, c.PatientID, now); err == nil {
		return got, false, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.consultations[c.ID] = *c
	return c, true, nil
}

func (m *memory) Consultations(context.Context, consult.Scope, consult.ConsultationFilter, consult.Page) ([]consult.Consultation, string, error) {
	return nil, "", nil
}
