-- What a doctor does with the waiting room: messages to those who wait, the
-- reason of a refusal, presence, and people whose tokens were withdrawn.

-- +goose Up

-- Patient data, as chat_messages: what the doctor wrote to a patient who
-- waits. kind 'declined' is the reason of a refusal, at most one per session.
CREATE TABLE waiting_messages (
    id          TEXT   NOT NULL PRIMARY KEY,
    account_id  TEXT   NOT NULL,
    mode        TEXT   NOT NULL,
    session_id  TEXT   NOT NULL,
    ticket_id   TEXT   NOT NULL,
    doctor_name TEXT   NOT NULL,
    kind        TEXT   NOT NULL CHECK (kind IN ('message', 'declined')),
    text        TEXT   NOT NULL,
    sent_at     BIGINT NOT NULL,
    FOREIGN KEY (account_id, mode, session_id) REFERENCES consultations (account_id, mode, id)
);
CREATE INDEX waiting_messages_session ON waiting_messages (account_id, mode, session_id, sent_at, id);
CREATE INDEX waiting_messages_sent ON waiting_messages (account_id, mode, sent_at, id);

-- What a doctor says of himself. No row: available.
CREATE TABLE doctor_presence (
    account_id TEXT   NOT NULL,
    mode       TEXT   NOT NULL,
    doctor_id  TEXT   NOT NULL,
    presence   TEXT   NOT NULL CHECK (presence IN ('available', 'busy', 'away')),
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, mode, doctor_id),
    FOREIGN KEY (account_id, mode) REFERENCES scopes (account_id, mode)
);

-- Someone (a role and a subject) whose tokens of that consultation, issued at
-- issued_before or earlier, no longer count: ejected, or a doctor who handed
-- the patient on.
CREATE TABLE revoked_people (
    account_id    TEXT   NOT NULL,
    mode          TEXT   NOT NULL,
    session_id    TEXT   NOT NULL,
    role          TEXT   NOT NULL,
    subject       TEXT   NOT NULL,
    issued_before BIGINT NOT NULL,
    PRIMARY KEY (account_id, mode, session_id, role, subject),
    FOREIGN KEY (account_id, mode, session_id) REFERENCES consultations (account_id, mode, id)
);

-- A doctor's patients who were admitted and whose call has not begun.
CREATE INDEX consultations_admitted ON consultations (account_id, mode, doctor_id, id)
    WHERE status = 'waiting' AND admitted_at IS NOT NULL;
