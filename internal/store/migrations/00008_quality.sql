-- How the call was for each participant.

-- +goose Up

-- A summary as a JSON object, '' where there was no media. Figures alone: nothing
-- in it is of a person.
ALTER TABLE participations ADD COLUMN quality TEXT NOT NULL DEFAULT '';
