-- +goose Up
-- Documents that people edit, version by version. Only the state of a version ever changes.
CREATE TABLE revision (
    kind    TEXT   NOT NULL,
    name    TEXT   NOT NULL,
    version BIGINT NOT NULL,
    state   TEXT   NOT NULL,
    doc     TEXT   NOT NULL, -- all but state and body
    body    TEXT   NOT NULL,
    PRIMARY KEY (kind, name, version)
);
CREATE UNIQUE INDEX revision_live ON revision (kind, name) WHERE state = 'live';

CREATE TABLE revision_event (
    id   INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    doc  TEXT NOT NULL
);
CREATE INDEX revision_event_name ON revision_event (kind, name, id);
