package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"

	"github.com/chatmed/chatmed/internal/consult"
)

// The audit log cannot forget, so it never learns who a patient is: where an
// event names one, its entry has the patient's pseudonym, a random name that
// stands beside the patient in people and nowhere else. Erasing that row makes
// every entry anonymous while the chain stays as it is.

const pseudonymPrefix = "pat_"

// newPseudonym has 128 random bits or more.
func newPseudonym() string { return pseudonymPrefix + rand.Text() }

// firstPseudonym is the pseudonym of a new person; doctors have none.
func firstPseudonym(role consult.Role) string {
	if role == consult.Patient {
		return newPseudonym()
	}
	return ""
}

// pseudonyms looks the pseudonyms of a scope's patients up, each once.
type pseudonyms struct {
	q     *querier
	sc    consult.Scope
	known map[string]string
}

// of returns the patient's pseudonym. A patient who is not stored, or was
// erased, gets one that nobody else has or will have.
func (p *pseudonyms) of(ctx context.Context, patientID string) (string, error) {
	if name, ok := p.known[patientID]; ok {
		return name, nil
	}
	const where = ` WHERE account_id = $1 AND mode = $2 AND role = 'patient' AND id = $3`
	read := func() (string, error) {
		var name string
		err := scanOne(p.q.row(ctx, `SELECT pseudonym FROM people`+where, p.sc.AccountID, p.sc.Mode, patientID), "patient", &name)
		if consult.HasCode(err, consult.NotFound) {
			return newPseudonym(), nil
		}
		return name, err
	}
	name, err := read()
	if err == nil && name == "" { // a row from before there were pseudonyms
		_, err = p.q.exec(ctx, `UPDATE people SET pseudonym = $4`+where+` AND pseudonym = ''`,
			p.sc.AccountID, p.sc.Mode, patientID, newPseudonym())
		if err == nil {
			name, err = read()
		}
	}
	if err != nil {
		return "", err
	}
	if p.known == nil {
		p.known = make(map[string]string)
	}
	p.known[patientID] = name
	return name, nil
}

// mask is the event with name's answer in place of each patient's id: of its
// actor, of patient_id in its data, and of subject where its role is a patient's.
func mask(e consult.Event, name func(patientID string) (string, error)) (consult.Event, error) {
	var err error
	if e.Actor.Role == consult.Patient && e.Actor.ID != "" {
		if e.Actor.ID, err = name(e.Actor.ID); err != nil {
			return e, err
		}
	}
	var data map[string]json.RawMessage // stays nil for what is no object, which names nobody
	if len(e.Data) > 0 {
		_ = json.Unmarshal(e.Data, &data)
	}
	text := func(field string) string {
		var s string
		if json.Unmarshal(data[field], &s) != nil {
			return ""
		}
		return s
	}
	fields := []string{"patient_id"}
	if consult.Role(text("role")) == consult.Patient {
		fields = append(fields, "subject")
	}
	changed := false
	for _, f := range fields {
		id := text(f)
		if id == "" {
			continue
		}
		masked, err := name(id)
		if err != nil {
			return e, err
		}
		if data[f], err = json.Marshal(masked); err != nil {
			return e, err
		}
		changed = true
	}
	if !changed {
		return e, nil
	}
	if e.Data, err = json.Marshal(data); err != nil {
		return e, fmt.Errorf("event %s: %w", e.ID, err)
	}
	return e, nil
}
