-- Tables common to SQLite and PostgreSQL.
--
-- Every row belongs to an account and a mode (live or test), and references
-- carry both, so the database itself refuses a link across them. Times are
-- microseconds since 1970-01-01 UTC, hashes are lower-case hexadecimal and
-- JSON is text: the same values, in the same order, on both databases.

-- +goose Up
CREATE TABLE accounts (
    id         TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL UNIQUE,
    email      TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);

-- An account in one mode, with the head of its audit chain. Writers of audit
-- entries lock this row, so a chain has one writer at a time.
CREATE TABLE scopes (
    account_id TEXT   NOT NULL REFERENCES accounts (id),
    mode       TEXT   NOT NULL CHECK (mode IN ('live', 'test')),
    audit_seq  BIGINT NOT NULL DEFAULT 0,
    audit_hash TEXT   NOT NULL DEFAULT '',
    PRIMARY KEY (account_id, mode)
);

CREATE TABLE users (
    id         TEXT   NOT NULL PRIMARY KEY,
    account_id TEXT   NOT NULL,
    mode       TEXT   NOT NULL,
    profile_id TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    email      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (account_id, mode, id),
    UNIQUE (account_id, mode, profile_id),
    FOREIGN KEY (account_id, mode) REFERENCES scopes (account_id, mode)
);

CREATE TABLE api_keys (
    id              TEXT   NOT NULL PRIMARY KEY,
    account_id      TEXT   NOT NULL,
    mode            TEXT   NOT NULL,
    user_id         TEXT   NOT NULL,
    plan            TEXT   NOT NULL,
    prefix          TEXT   NOT NULL,
    hash            TEXT   NOT NULL UNIQUE,
    allowed_origins TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    last_used_at    BIGINT,
    revoked_at      BIGINT,
    FOREIGN KEY (account_id, mode, user_id) REFERENCES users (account_id, mode, id)
);
CREATE INDEX api_keys_scope ON api_keys (account_id, mode);

-- Doctors and patients under the integrator's identifiers.
CREATE TABLE people (
    account_id TEXT   NOT NULL,
    mode       TEXT   NOT NULL,
    role       TEXT   NOT NULL CHECK (role IN ('doctor', 'patient')),
    id         TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, mode, role, id),
    FOREIGN KEY (account_id, mode) REFERENCES scopes (account_id, mode)
);

CREATE TABLE consultations (
    id               TEXT    NOT NULL PRIMARY KEY,
    account_id       TEXT    NOT NULL,
    mode             TEXT    NOT NULL,
    key_id           TEXT    NOT NULL,
    doctor_id        TEXT    NOT NULL,
    patient_id       TEXT    NOT NULL,
    doctor_name      TEXT    NOT NULL,
    patient_name     TEXT    NOT NULL,
    language         TEXT    NOT NULL,
    enable_recording BOOLEAN NOT NULL,
    status           TEXT    NOT NULL CHECK (status IN ('waiting', 'active', 'ended', 'cancelled')),
    reason           TEXT    NOT NULL,
    token_epoch      BIGINT  NOT NULL,
    created_at       BIGINT  NOT NULL,
    scheduled_at     BIGINT,
    admitted_at      BIGINT,
    started_at       BIGINT,
    ended_at         BIGINT,
    expires_at       BIGINT  NOT NULL,
    UNIQUE (account_id, mode, id),
    FOREIGN KEY (account_id, mode) REFERENCES scopes (account_id, mode)
);
CREATE INDEX consultations_unfinished ON consultations (account_id, mode, id)
    WHERE status IN ('waiting', 'active');
CREATE INDEX consultations_open_pair ON consultations (account_id, mode, doctor_id, patient_id, created_at)
    WHERE status IN ('waiting', 'active');
CREATE INDEX consultations_lengths ON consultations (account_id, mode, doctor_id, ended_at)
    WHERE status = 'ended';

CREATE TABLE tickets (
    id           TEXT   NOT NULL PRIMARY KEY,
    account_id   TEXT   NOT NULL,
    mode         TEXT   NOT NULL,
    session_id   TEXT   NOT NULL,
    doctor_id    TEXT   NOT NULL,
    patient_id   TEXT   NOT NULL,
    patient_name TEXT   NOT NULL,
    reason       TEXT   NOT NULL,
    language     TEXT   NOT NULL,
    status       TEXT   NOT NULL CHECK (status IN ('queued', 'ready', 'away', 'admitted', 'left', 'declined', 'transferred', 'expired')),
    rank         BIGINT NOT NULL,
    joined_at    BIGINT NOT NULL,
    ready_at     BIGINT,
    away_at      BIGINT,
    admitted_at  BIGINT,
    closed_at    BIGINT,
    updated_at   BIGINT NOT NULL,
    version      BIGINT NOT NULL,
    FOREIGN KEY (account_id, mode, session_id) REFERENCES consultations (account_id, mode, id)
);
-- One open place per patient and doctor; this index decides races.
CREATE UNIQUE INDEX tickets_one_open ON tickets (account_id, mode, doctor_id, patient_id)
    WHERE status IN ('queued', 'ready', 'away');
CREATE INDEX tickets_queue ON tickets (account_id, mode, doctor_id, rank, id)
    WHERE status IN ('queued', 'ready', 'away');
CREATE INDEX tickets_arrival ON tickets (account_id, mode, doctor_id, rank);
CREATE INDEX tickets_away ON tickets (account_id, mode, away_at)
    WHERE status = 'away';
CREATE INDEX tickets_session ON tickets (account_id, mode, session_id, joined_at);

CREATE TABLE participations (
    id         TEXT   NOT NULL PRIMARY KEY,
    account_id TEXT   NOT NULL,
    mode       TEXT   NOT NULL,
    session_id TEXT   NOT NULL,
    role       TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    joined_at  BIGINT NOT NULL,
    left_at    BIGINT,
    FOREIGN KEY (account_id, mode, session_id) REFERENCES consultations (account_id, mode, id)
);
CREATE INDEX participations_session ON participations (account_id, mode, session_id, joined_at);

CREATE TABLE chat_messages (
    id             TEXT   NOT NULL PRIMARY KEY,
    account_id     TEXT   NOT NULL,
    mode           TEXT   NOT NULL,
    session_id     TEXT   NOT NULL,
    participant_id TEXT   NOT NULL,
    role           TEXT   NOT NULL,
    name           TEXT   NOT NULL,
    text           TEXT   NOT NULL,
    sent_at        BIGINT NOT NULL,
    FOREIGN KEY (account_id, mode, session_id) REFERENCES consultations (account_id, mode, id)
);
CREATE INDEX chat_messages_session ON chat_messages (account_id, mode, session_id, sent_at, id);

CREATE TABLE revoked_tokens (
    account_id TEXT   NOT NULL,
    mode       TEXT   NOT NULL,
    jti        TEXT   NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, mode, jti),
    FOREIGN KEY (account_id, mode) REFERENCES scopes (account_id, mode)
);

-- Append-only (the next migration adds the guards). seq counts from 1 without
-- gaps in its scope; hash covers the entry and prev_hash.
CREATE TABLE audit_log (
    account_id TEXT   NOT NULL,
    mode       TEXT   NOT NULL,
    seq        BIGINT NOT NULL,
    id         TEXT   NOT NULL UNIQUE,
    event_id   TEXT   NOT NULL,
    type       TEXT   NOT NULL,
    actor_kind TEXT   NOT NULL,
    actor_id   TEXT   NOT NULL,
    actor_role TEXT   NOT NULL,
    session_id TEXT   NOT NULL,
    ticket_id  TEXT   NOT NULL,
    doctor_id  TEXT   NOT NULL,
    at         BIGINT NOT NULL,
    data       TEXT   NOT NULL,
    prev_hash  TEXT   NOT NULL,
    hash       TEXT   NOT NULL,
    PRIMARY KEY (account_id, mode, seq),
    FOREIGN KEY (account_id, mode) REFERENCES scopes (account_id, mode)
);
CREATE INDEX audit_log_session ON audit_log (account_id, mode, session_id, seq);
