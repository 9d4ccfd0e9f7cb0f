-- +goose Up
-- key is the hash of a one-time link's secret, by which its user sets a password. A user has at most one.
CREATE TABLE invite (
    account TEXT   PRIMARY KEY REFERENCES account (name),
    key     TEXT   NOT NULL UNIQUE,
    until   BIGINT NOT NULL
);
