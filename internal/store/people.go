package store

import (
	"context"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// upsertPeople stores c's doctor and patient on first use and takes their new
// names; a name that c leaves empty becomes the known one. The doctor comes
// first, always, so that two transactions cannot wait for each other.
func (q *querier) upsertPeople(ctx context.Context, c *consult.Consultation, at time.Time) error {
	doctor := consult.Person{ID: c.DoctorID, Scope: c.Scope, Role: consult.Doctor, Name: c.DoctorName, CreatedAt: at}
	if err := q.upsertPerson(ctx, &doctor); err != nil {
		return err
	}
	patient := consult.Person{ID: c.PatientID, Scope: c.Scope, Role: consult.Patient, Name: c.PatientName, CreatedAt: at}
	if err := q.upsertPerson(ctx, &patient); err != nil {
		return err
	}
	c.DoctorName, c.PatientName = doctor.Name, patient.Name
	return nil
}

// upsertPerson inserts p, or gives the person p's name unless it is empty. It
// sets p.Name to the name that stands.
func (q *querier) upsertPerson(ctx context.Context, p *consult.Person) error {
	return q.row(ctx, `INSERT INTO people (account_id, mode, role, id, name, created_at, pseudonym) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (account_id, mode, role, id)
		DO UPDATE SET name = CASE WHEN excluded.name = '' THEN people.name ELSE excluded.name END
		RETURNING name`,
		p.Scope.AccountID, p.Scope.Mode, p.Role, p.ID, p.Name, micros(p.CreatedAt), firstPseudonym(p.Role)).Scan(&p.Name)
}

// Person returns the doctor or patient of that id.
func (s *Store) Person(ctx context.Context, sc consult.Scope, role consult.Role, id string) (*consult.Person, error) {
	var p *consult.Person
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		p, err = one(ctx, q, "person", func(r scanner, p *consult.Person) error {
			return r.Scan(&p.Scope.AccountID, &p.Scope.Mode, &p.Role, &p.ID, &p.Name, scanTime{&p.CreatedAt})
		}, `SELECT account_id, mode, role, id, name, created_at FROM people
			WHERE account_id = $1 AND mode = $2 AND role = $3 AND id = $4`, sc.AccountID, sc.Mode, role, id)
		return err
	})
	return p, err
}
