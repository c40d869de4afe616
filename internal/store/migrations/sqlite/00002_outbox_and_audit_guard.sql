-- What the two databases spell differently: the outbox's own sequence and the
-- triggers that keep the audit log append-only.

-- +goose Up
CREATE TABLE outbox (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id   TEXT    NOT NULL,
    mode         TEXT    NOT NULL,
    event_id     TEXT    NOT NULL UNIQUE,
    payload      TEXT    NOT NULL,
    delivered_at BIGINT,
    FOREIGN KEY (account_id, mode) REFERENCES scopes (account_id, mode)
);
CREATE INDEX outbox_pending ON outbox (id) WHERE delivered_at IS NULL;

-- +goose StatementBegin
CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END;
-- +goose StatementEnd

-- INSERT OR REPLACE deletes without firing the trigger above, unless the
-- connection has recursive_triggers on.
-- +goose StatementBegin
CREATE TRIGGER audit_log_no_replace BEFORE INSERT ON audit_log
WHEN EXISTS (
    SELECT 1 FROM audit_log
    WHERE id = NEW.id
       OR (account_id = NEW.account_id AND mode = NEW.mode AND seq = NEW.seq)
)
BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END;
-- +goose StatementEnd
