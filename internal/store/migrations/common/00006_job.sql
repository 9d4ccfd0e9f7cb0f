-- +goose Up
-- Work that is due at a time. claim counts how often it was claimed, version how often it was asked for.
CREATE TABLE job (
    kind     TEXT   NOT NULL,
    key      TEXT   NOT NULL,
    due      BIGINT NOT NULL,
    version  BIGINT NOT NULL,
    claim    BIGINT NOT NULL,
    owner    TEXT   NOT NULL,
    until    BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    error    TEXT   NOT NULL,
    doc      TEXT   NOT NULL,
    PRIMARY KEY (kind, key)
);
CREATE INDEX job_due ON job (kind, due);

-- Hours of a site whose condensed values may differ from its readings.
CREATE TABLE stale_hour (
    site    TEXT   NOT NULL,
    hour    BIGINT NOT NULL,
    changes BIGINT NOT NULL,
    due     BIGINT NOT NULL,
    PRIMARY KEY (site, hour)
);
