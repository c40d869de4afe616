-- Conversations with the medical chat. content is sealed by the API: nobody who
-- reads the database reads what was said.

-- +goose Up
CREATE TABLE chat_sessions (
    account_id TEXT   NOT NULL,
    mode       TEXT   NOT NULL,
    session_id TEXT   NOT NULL, -- the integrator's own, or a consultation's
    patient_id TEXT   NOT NULL DEFAULT '',
    content    TEXT   NOT NULL, -- base64
    version    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, mode, session_id),
    FOREIGN KEY (account_id, mode) REFERENCES scopes (account_id, mode)
);
CREATE INDEX chat_sessions_age ON chat_sessions (account_id, mode, updated_at);
CREATE INDEX chat_sessions_patient ON chat_sessions (account_id, mode, patient_id);
