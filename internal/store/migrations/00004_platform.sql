-- What the REST platform adds: key settings, metadata, lists that stay flat
-- under a million rows, idempotency records, signed audit chains and erasure.

-- +goose Up
ALTER TABLE api_keys ADD COLUMN scopes TEXT NOT NULL DEFAULT '[]';
ALTER TABLE api_keys ADD COLUMN allowed_addresses TEXT NOT NULL DEFAULT '[]';
ALTER TABLE api_keys ADD COLUMN expires_at BIGINT;
ALTER TABLE api_keys ADD COLUMN rotated_to TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN end_calls BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX api_keys_list ON api_keys (account_id, created_at, id);
CREATE INDEX api_keys_ending ON api_keys (revoked_at) WHERE end_calls;

-- The name a patient has in the audit log. It is random, and this row is all
-- that links it to the patient: erasing the row makes the log anonymous.
ALTER TABLE people ADD COLUMN pseudonym TEXT NOT NULL DEFAULT '';

ALTER TABLE consultations ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
CREATE INDEX consultations_list ON consultations (account_id, mode, created_at, id);
CREATE INDEX consultations_doctor ON consultations (account_id, mode, doctor_id, created_at, id);
CREATE INDEX consultations_patient ON consultations (account_id, mode, patient_id, created_at, id);
CREATE INDEX consultations_status ON consultations (account_id, mode, status, created_at, id);
CREATE INDEX consultations_doctor_status ON consultations (account_id, mode, doctor_id, status, created_at, id);
CREATE INDEX consultations_final ON consultations (account_id, mode, ended_at, id)
    WHERE status IN ('ended', 'cancelled');

CREATE INDEX tickets_list ON tickets (account_id, mode, joined_at, id);
CREATE INDEX tickets_doctor ON tickets (account_id, mode, doctor_id, joined_at, id);
CREATE INDEX tickets_patient ON tickets (account_id, mode, patient_id, joined_at, id);
CREATE INDEX tickets_status ON tickets (account_id, mode, status, joined_at, id);
CREATE INDEX tickets_doctor_status ON tickets (account_id, mode, doctor_id, status, joined_at, id);
CREATE INDEX tickets_closed ON tickets (account_id, mode, closed_at, id) WHERE closed_at IS NOT NULL;
DROP INDEX tickets_session;
CREATE INDEX tickets_session ON tickets (account_id, mode, session_id, joined_at, id);

DROP INDEX participations_session;
CREATE INDEX participations_session ON participations (account_id, mode, session_id, joined_at, id);
CREATE INDEX chat_messages_sent ON chat_messages (account_id, mode, sent_at, id);
CREATE INDEX revoked_tokens_expired ON revoked_tokens (expires_at);

-- Answers to requests with an Idempotency-Key. body is sealed by who stores it.
CREATE TABLE idempotency (
    account_id   TEXT   NOT NULL,
    mode         TEXT   NOT NULL,
    key          TEXT   NOT NULL,
    operation_id TEXT   NOT NULL,
    body_hash    TEXT   NOT NULL,
    subject      TEXT   NOT NULL,
    owner        TEXT   NOT NULL,
    done         BOOLEAN NOT NULL,
    erased       BOOLEAN NOT NULL DEFAULT FALSE,
    status       BIGINT NOT NULL,
    body         TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    lease_until  BIGINT NOT NULL,
    PRIMARY KEY (account_id, mode, key),
    FOREIGN KEY (account_id, mode) REFERENCES scopes (account_id, mode)
);
CREATE INDEX idempotency_expired ON idempotency (expires_at);

ALTER TABLE outbox ADD COLUMN session_id TEXT NOT NULL DEFAULT '';
CREATE INDEX outbox_session ON outbox (account_id, mode, session_id);
CREATE INDEX outbox_delivered ON outbox (account_id, mode, delivered_at) WHERE delivered_at IS NOT NULL;

-- The keyed signature of the chain's head, so that a shortened or rewritten
-- chain is found out.
ALTER TABLE scopes ADD COLUMN audit_mac TEXT NOT NULL DEFAULT '';
