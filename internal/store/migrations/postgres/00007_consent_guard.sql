-- A consent is never changed: an erasure replaces the subject alone, a new
-- secret the signature. Retention removes whole chains.

-- +goose Up

-- +goose StatementBegin
CREATE FUNCTION consents_unchanged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'consents are not changed';
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER consents_no_update BEFORE UPDATE OF id, account_id, mode, session_id, seq, participant_id, role,
    alias, decision, wording_id, wording_hash, language, at, prev_hash, hash ON consents
    FOR EACH ROW EXECUTE FUNCTION consents_unchanged();
CREATE TRIGGER consent_wordings_no_update BEFORE UPDATE ON consent_wordings
    FOR EACH ROW EXECUTE FUNCTION consents_unchanged();
