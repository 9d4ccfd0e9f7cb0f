-- +goose Up
-- Writes of points, and every step of their history.
CREATE TABLE write_order (
    id       TEXT   PRIMARY KEY,
    site     TEXT   NOT NULL,
    position TEXT   NOT NULL,
    open     BIGINT NOT NULL, -- 1: waits for a person, or for its outcome
    asked_at BIGINT NOT NULL,
    doc      TEXT   NOT NULL
);
CREATE INDEX write_order_asked ON write_order (open DESC, asked_at DESC, id);
CREATE INDEX write_order_position ON write_order (site, position, open DESC, asked_at DESC, id);

CREATE TABLE write_event (
    id    INTEGER PRIMARY KEY,
    write TEXT NOT NULL REFERENCES write_order (id),
    doc   TEXT NOT NULL
);
CREATE INDEX write_event_write ON write_event (write, id);
