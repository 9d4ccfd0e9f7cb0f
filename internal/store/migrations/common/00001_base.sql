-- +goose Up
CREATE TABLE counter (
    name  TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counter (name, value) VALUES ('ticket', 0);

CREATE TABLE site (
    id  TEXT PRIMARY KEY,
    doc TEXT NOT NULL
);

CREATE TABLE position (
    site TEXT NOT NULL,
    id   TEXT NOT NULL,
    doc  TEXT NOT NULL,
    PRIMARY KEY (site, id)
);

CREATE TABLE gateway (
    site      TEXT   NOT NULL,
    id        TEXT   NOT NULL,
    last_seen BIGINT NOT NULL,
    doc       TEXT   NOT NULL,
    PRIMARY KEY (site, id)
);

-- Versions of a contract stay: a ticket pins the one in force when it was received.
CREATE TABLE contract (
    id      TEXT   NOT NULL,
    version BIGINT NOT NULL,
    doc     TEXT   NOT NULL,
    PRIMARY KEY (id, version)
);

CREATE TABLE plan (
    id  TEXT PRIMARY KEY,
    doc TEXT NOT NULL
);

CREATE TABLE rule_instance (
    site     TEXT NOT NULL,
    position TEXT NOT NULL,
    rule     TEXT NOT NULL,
    doc      TEXT NOT NULL,
    PRIMARY KEY (site, position, rule)
);

-- A released lease keeps its row, so that its epoch only ever grows.
CREATE TABLE lease (
    role  TEXT   NOT NULL,
    part  BIGINT NOT NULL,
    owner TEXT   NOT NULL,
    epoch BIGINT NOT NULL,
    until BIGINT NOT NULL,
    PRIMARY KEY (role, part)
);

CREATE TABLE place (
    role     TEXT   NOT NULL,
    part     BIGINT NOT NULL,
    stream   TEXT   NOT NULL,
    sequence BIGINT NOT NULL,
    PRIMARY KEY (role, part)
);

CREATE TABLE unit (
    part     BIGINT NOT NULL,
    id       TEXT   NOT NULL,
    stream   TEXT   NOT NULL,
    sequence BIGINT NOT NULL,
    state    BYTEA  NOT NULL,
    PRIMARY KEY (part, id)
);

CREATE TABLE ledger (
    gateway TEXT NOT NULL,
    epoch   TEXT NOT NULL,
    site    TEXT NOT NULL,
    doc     TEXT NOT NULL,
    PRIMARY KEY (gateway, epoch)
);

-- Lines and reasons are bytes: what could not be written may be anything.
CREATE TABLE dead_letter (
    id       INTEGER PRIMARY KEY,
    at       BIGINT NOT NULL,
    site     TEXT   NOT NULL,
    gateway  TEXT   NOT NULL,
    epoch    TEXT   NOT NULL,
    sequence BIGINT NOT NULL,
    digest   TEXT   NOT NULL,
    line     BYTEA  NOT NULL,
    reason   BYTEA  NOT NULL,
    UNIQUE (gateway, epoch, sequence, digest)
);

CREATE TABLE alarm (
    id        TEXT   PRIMARY KEY,
    site      TEXT   NOT NULL,
    position  TEXT   NOT NULL,
    rank      BIGINT NOT NULL, -- open ones first, the most severe first
    raised_at BIGINT NOT NULL,
    doc       TEXT   NOT NULL
);
CREATE INDEX alarm_rank ON alarm (rank, raised_at DESC, id);
CREATE INDEX alarm_site ON alarm (site, rank, raised_at DESC, id);
CREATE INDEX alarm_position ON alarm (site, position, rank, raised_at DESC, id);

CREATE TABLE alarm_event (
    id         INTEGER PRIMARY KEY,
    alarm      TEXT   NOT NULL REFERENCES alarm (id) DEFERRABLE INITIALLY DEFERRED,
    at         BIGINT NOT NULL,
    transition TEXT   NOT NULL,
    doc        TEXT   NOT NULL,
    UNIQUE (alarm, at, transition)
);
CREATE INDEX alarm_event_at ON alarm_event (at);

-- rank orders lists: open tickets by priority (1 to 5), then resolved (6), then ended ones (9).
CREATE TABLE ticket (
    n           INTEGER PRIMARY KEY, -- of the number T-000001
    id          TEXT   NOT NULL UNIQUE,
    kind        TEXT   NOT NULL,
    status      TEXT   NOT NULL,
    rank        BIGINT NOT NULL,
    site        TEXT   NOT NULL,
    position    TEXT   NOT NULL,
    test        BIGINT NOT NULL,
    made_up     BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    version     BIGINT NOT NULL,
    search      TEXT   NOT NULL, -- lower-case words that people look for
    doc         TEXT   NOT NULL
);
-- These hold all that filters ask for, so that a list touches only the rows that it shows.
CREATE INDEX ticket_rank ON ticket (rank, received_at DESC, n DESC, kind, status, site, position, test, made_up);
CREATE INDEX ticket_site ON ticket (site, rank, received_at DESC, n DESC, kind, status, position, test, made_up);
CREATE INDEX ticket_position ON ticket (site, position, rank, received_at DESC, n DESC, kind, status, test, made_up);
CREATE INDEX ticket_search ON ticket (rank, received_at DESC, n DESC, search, kind, status, site, position, test, made_up);
CREATE INDEX ticket_received ON ticket (site, received_at, kind, test, made_up);

CREATE TABLE ticket_key (
    key    TEXT    NOT NULL,
    ticket INTEGER NOT NULL REFERENCES ticket (n) DEFERRABLE INITIALLY DEFERRED,
    open   BIGINT  NOT NULL,
    PRIMARY KEY (ticket, key)
);
CREATE UNIQUE INDEX ticket_key_open ON ticket_key (key) WHERE open = 1;
CREATE INDEX ticket_key_key ON ticket_key (key, ticket);

CREATE TABLE ticket_event (
    id     INTEGER PRIMARY KEY,
    ticket TEXT   NOT NULL REFERENCES ticket (id) DEFERRABLE INITIALLY DEFERRED,
    at     BIGINT NOT NULL,
    digest TEXT   NOT NULL,
    doc    TEXT   NOT NULL,
    UNIQUE (ticket, digest)
);
CREATE INDEX ticket_event_at ON ticket_event (ticket, at, id);

CREATE TABLE evidence (
    id     INTEGER PRIMARY KEY,
    ticket TEXT   NOT NULL REFERENCES ticket (id) DEFERRABLE INITIALLY DEFERRED,
    alarm  TEXT   NOT NULL,
    at     BIGINT NOT NULL,
    point  TEXT   NOT NULL,
    doc    TEXT   NOT NULL,
    UNIQUE (ticket, alarm, at, point)
);

CREATE TABLE inspection (
    site     TEXT   NOT NULL,
    position TEXT   NOT NULL,
    plan     TEXT   NOT NULL,
    cycle    BIGINT NOT NULL,
    open     BIGINT NOT NULL,
    due_at   BIGINT NOT NULL,
    doc      TEXT   NOT NULL,
    PRIMARY KEY (site, position, plan, cycle)
);
CREATE UNIQUE INDEX inspection_open ON inspection (site, position, plan) WHERE open = 1;
CREATE INDEX inspection_due ON inspection (open DESC, due_at);
