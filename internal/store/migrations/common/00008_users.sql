-- +goose Up
-- secret is the password's hash, "" while there is none; it stands outside of the document so that no list shows it.
CREATE TABLE account (
    name   TEXT PRIMARY KEY,
    secret TEXT NOT NULL,
    doc    TEXT NOT NULL
);

-- key is the hash of the secret that the browser holds.
CREATE TABLE session (
    key     TEXT   PRIMARY KEY,
    id      TEXT   NOT NULL UNIQUE,
    account TEXT   NOT NULL REFERENCES account (name),
    seen    BIGINT NOT NULL,
    until   BIGINT NOT NULL,
    doc     TEXT   NOT NULL
);
CREATE INDEX session_account ON session (account, seen);
CREATE INDEX session_until ON session (until);

CREATE TABLE token (
    key     TEXT   PRIMARY KEY,
    id      TEXT   NOT NULL UNIQUE,
    account TEXT   NOT NULL REFERENCES account (name),
    used    BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    doc     TEXT   NOT NULL
);
CREATE INDEX token_account ON token (account);

CREATE TABLE team (
    id  TEXT PRIMARY KEY,
    doc TEXT NOT NULL
);

-- doc is the canonical form that hash covers; the columns beside it are only what is filtered.
CREATE TABLE audit (
    n       BIGINT PRIMARY KEY,
    at      BIGINT NOT NULL,
    who     TEXT   NOT NULL,
    outcome TEXT   NOT NULL,
    search  TEXT   NOT NULL,
    hash    TEXT   NOT NULL,
    doc     TEXT   NOT NULL
);
CREATE INDEX audit_who ON audit (who, n);
CREATE INDEX audit_outcome ON audit (outcome, n);

-- One row: the last entry. Whoever adds one locks it, so that there is one chain.
CREATE TABLE audit_head (
    id   BIGINT PRIMARY KEY,
    n    BIGINT NOT NULL,
    hash TEXT   NOT NULL
);
INSERT INTO audit_head (id, n, hash) VALUES (1, 0, '');
