-- What the emergency screen found in the reasons of those who wait, and where
-- they are, which decides which number they are shown.

-- +goose Up
ALTER TABLE consultations ADD COLUMN country TEXT NOT NULL DEFAULT '';

-- urgency is '' where nothing was screened; red_flags are the ids of rules, as
-- a JSON array. Nothing here is of the patient's own words.
ALTER TABLE tickets ADD COLUMN country TEXT NOT NULL DEFAULT '';
ALTER TABLE tickets ADD COLUMN urgency TEXT NOT NULL DEFAULT ''
    CHECK (urgency IN ('', 'critical', 'high', 'moderate', 'low'));
ALTER TABLE tickets ADD COLUMN rule_version TEXT NOT NULL DEFAULT '';
ALTER TABLE tickets ADD COLUMN red_flags TEXT NOT NULL DEFAULT '[]';
ALTER TABLE tickets ADD COLUMN crisis BOOLEAN NOT NULL DEFAULT FALSE;
