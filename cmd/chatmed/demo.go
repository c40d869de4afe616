package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/consult"
)

const demoName = "demo"

// printDemo makes a sandbox key and one consultation, and prints how to use
// them. The key of an earlier run is revoked.
func (a *app) printDemo(ctx context.Context, out io.Writer) error {
	operator := consult.Actor{Kind: consult.ActorOperator, ID: demoName}
	all, err := a.keys.List(ctx)
	if err != nil {
		return err
	}
	for _, k := range all {
		if k.Name == demoName && k.Scope.Mode == consult.Test && k.RevokedAt == nil {
			if _, err := a.keys.Revoke(ctx, k.ID, operator); err != nil {
				return err
			}
		}
	}
	secret, key, err := a.keys.Create(ctx, auth.CreateKeyRequest{
		AccountName: demoName, Name: demoName, Plan: consult.PlanEnterprise, Mode: consult.Test,
	})
	if err != nil {
		return err
	}
	c, err := a.consultations.Create(ctx, key.Scope, consult.Actor{Kind: consult.ActorKey, ID: key.ID}, consult.CreateRequest{
		DoctorID: "doc_demo", PatientID: "pat_demo", DoctorName: "Dr. Amal Haddad", PatientName: "Jeanne Martin", KeyID: key.ID,
	})
	if err != nil {
		return err
	}
	links := map[consult.Role]string{}
	for role, who := range map[consult.Role][2]string{
		consult.Doctor: {c.DoctorID, c.DoctorName}, consult.Patient: {c.PatientID, c.PatientName},
	} {
		token, err := a.tokens.Issue(auth.Claims{
			ID: consult.NewID(consult.PrefixToken), Kind: auth.KindRoom, Scope: c.Scope, KeyID: key.ID,
			SessionID: c.ID, DoctorID: c.DoctorID, Role: role, Subject: who[0], Name: who[1],
			Grants: consult.DefaultGrants(role), Epoch: c.TokenEpoch, Language: c.Language,
			ExpiresAt: c.ExpiresAt.Add(consult.TokenLifeAfterClose),
		})
		if err != nil {
			return err
		}
		links[role] = a.links.Join(c.ID, role, token)
	}
	_, err = fmt.Fprintf(out, `
ChatMed is running at %[1]s

  Sandbox key (plan %[2]s, test data only):
    %[3]s

  Create a consultation:
    curl -X POST %[1]s/api/v1/consultations/video/create \
      -H "X-API-Key: %[3]s" -H "Content-Type: application/json" \
      -d '{"doctor_id": "doc_abc123", "patient_id": "pat_xyz789"}'

  Or try this one, valid until %[4]s:
    patient  %[5]s
    doctor   %[6]s

`, a.cfg.PublicURL, key.Plan, secret, c.ExpiresAt.Local().Format(time.Kitchen), links[consult.Patient], links[consult.Doctor])
	return err
}
