-- +goose Up
-- Dead letters of one series and one kind of reason: each is counted here, only the newest are kept.
CREATE TABLE dead_group (
    id       TEXT   PRIMARY KEY,
    site     TEXT   NOT NULL,
    gateway  TEXT   NOT NULL,
    series   BYTEA  NOT NULL,
    reason   BYTEA  NOT NULL, -- of the last
    count    BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at  BIGINT NOT NULL
);
CREATE INDEX dead_group_last ON dead_group (last_at DESC, id);
ALTER TABLE dead_letter ADD COLUMN grp TEXT NOT NULL DEFAULT '';
CREATE INDEX dead_letter_grp ON dead_letter (grp, id);
INSERT INTO counter (name, value) VALUES ('dead_dropped', 0);
