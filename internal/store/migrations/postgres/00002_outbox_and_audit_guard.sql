-- What the two databases spell differently: the outbox's own sequence and the
-- triggers that keep the audit log append-only.

-- +goose Up
CREATE TABLE outbox (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   TEXT   NOT NULL,
    mode         TEXT   NOT NULL,
    event_id     TEXT   NOT NULL UNIQUE,
    payload      TEXT   NOT NULL,
    delivered_at BIGINT,
    FOREIGN KEY (account_id, mode) REFERENCES scopes (account_id, mode)
);
CREATE INDEX outbox_pending ON outbox (id) WHERE delivered_at IS NULL;

-- +goose StatementBegin
CREATE FUNCTION audit_log_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_log is append-only';
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER audit_log_no_change BEFORE UPDATE OR DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION audit_log_append_only();
CREATE TRIGGER audit_log_no_truncate BEFORE TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_append_only();
