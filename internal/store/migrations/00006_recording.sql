-- Consent to being recorded, recordings, and an account's settings of them.

-- +goose Up

-- The texts that people were shown before they decided, each once. Nothing of
-- a patient: they name who keeps the recording.
CREATE TABLE consent_wordings (
    account_id TEXT NOT NULL,
    mode       TEXT NOT NULL,
    hash       TEXT NOT NULL,
    text       TEXT NOT NULL,
    PRIMARY KEY (account_id, mode, hash),
    FOREIGN KEY (account_id, mode) REFERENCES scopes (account_id, mode)
);

-- One decision of one person, a link of its consultation's chain. seq counts
-- from 1 without gaps; hash covers the record, prev_hash, and alias in place of
-- subject. The next migration guards all but subject and signature.
CREATE TABLE consents (
    id             TEXT   NOT NULL PRIMARY KEY,
    account_id     TEXT   NOT NULL,
    mode           TEXT   NOT NULL,
    session_id     TEXT   NOT NULL,
    seq            BIGINT NOT NULL,
    participant_id TEXT   NOT NULL,
    role           TEXT   NOT NULL,
    subject        TEXT   NOT NULL,
    alias          TEXT   NOT NULL,
    decision       TEXT   NOT NULL CHECK (decision IN ('granted', 'declined', 'withdrawn')),
    wording_id     TEXT   NOT NULL,
    wording_hash   TEXT   NOT NULL,
    language       TEXT   NOT NULL,
    at             BIGINT NOT NULL,
    prev_hash      TEXT   NOT NULL,
    hash           TEXT   NOT NULL,
    signature      TEXT   NOT NULL,
    -- The first bytes of the key's hash: which records a new secret signs anew.
    key_id         TEXT   NOT NULL,
    UNIQUE (account_id, mode, session_id, seq),
    FOREIGN KEY (account_id, mode, session_id) REFERENCES consultations (account_id, mode, id)
);
CREATE INDEX consents_key ON consents (key_id);

CREATE TABLE recordings (
    id              TEXT    NOT NULL PRIMARY KEY,
    account_id      TEXT    NOT NULL,
    mode            TEXT    NOT NULL,
    session_id      TEXT    NOT NULL,
    doctor_id       TEXT    NOT NULL,
    patient_id      TEXT    NOT NULL,
    state           TEXT    NOT NULL CHECK (state IN ('recording', 'paused', 'stored', 'composing', 'ready', 'failed', 'deleted')),
    reason          TEXT    NOT NULL,
    started_at      BIGINT  NOT NULL,
    stopped_at      BIGINT,
    duration        BIGINT  NOT NULL, -- microseconds
    recipient       TEXT    NOT NULL,
    server_key      BOOLEAN NOT NULL,
    segments        TEXT    NOT NULL,
    tracks          TEXT    NOT NULL,
    gaps            TEXT    NOT NULL,
    files           TEXT    NOT NULL,
    progress        BIGINT  NOT NULL, -- millionths
    legal_hold      BOOLEAN NOT NULL,
    retain_until    BIGINT,
    deleted_at      BIGINT,
    deleted_by_kind TEXT    NOT NULL,
    deleted_by      TEXT    NOT NULL,
    deleted_by_role TEXT    NOT NULL,
    purged          BOOLEAN NOT NULL, -- its objects are gone from the blob store
    FOREIGN KEY (account_id, mode, session_id) REFERENCES consultations (account_id, mode, id)
);
CREATE INDEX recordings_list ON recordings (account_id, mode, started_at, id);
CREATE INDEX recordings_session ON recordings (account_id, mode, session_id, started_at, id);
CREATE INDEX recordings_doctor ON recordings (account_id, mode, doctor_id, started_at, id);
CREATE INDEX recordings_patient ON recordings (account_id, mode, patient_id, started_at, id);
CREATE INDEX recordings_state ON recordings (account_id, mode, state, started_at, id);
-- Across scopes: what is going on, what may go, and what is to be purged.
CREATE INDEX recordings_working ON recordings (id) WHERE state IN ('recording', 'paused', 'composing');
CREATE INDEX recordings_term ON recordings (retain_until, id)
    WHERE retain_until IS NOT NULL AND state IN ('stored', 'ready', 'failed') AND NOT legal_hold;
CREATE INDEX recordings_purge ON recordings (id) WHERE state = 'deleted' AND NOT purged;

-- No row: kept by the account, without a term, encrypted to the server's vault.
CREATE TABLE recording_settings (
    account_id     TEXT   NOT NULL,
    mode           TEXT   NOT NULL,
    keeper         TEXT   NOT NULL,
    retention_days BIGINT NOT NULL,
    recipient      TEXT   NOT NULL,
    updated_at     BIGINT NOT NULL,
    PRIMARY KEY (account_id, mode),
    FOREIGN KEY (account_id, mode) REFERENCES scopes (account_id, mode)
);
