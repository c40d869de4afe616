-- A consent is never changed: an erasure replaces the subject alone, a new
-- secret the signature. Retention removes whole chains.

-- +goose Up

-- +goose StatementBegin
CREATE TRIGGER consents_no_update BEFORE UPDATE OF id, account_id, mode, session_id, seq, participant_id, role,
    alias, decision, wording_id, wording_hash, language, at, prev_hash, hash ON consents
BEGIN
    SELECT RAISE(ABORT, 'consents are not changed');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER consents_no_replace BEFORE INSERT ON consents
WHEN EXISTS (
    SELECT 1 FROM consents
    WHERE id = NEW.id
       OR (account_id = NEW.account_id AND mode = NEW.mode AND session_id = NEW.session_id AND seq = NEW.seq)
)
BEGIN
    SELECT RAISE(ABORT, 'consents are not changed');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER consent_wordings_no_update BEFORE UPDATE ON consent_wordings
BEGIN
    SELECT RAISE(ABORT, 'consents are not changed');
END;
-- +goose StatementEnd
