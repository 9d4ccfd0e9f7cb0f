-- +goose Up
-- What life rules have said of the time that is left, one row for each news of a rule at a position.
CREATE TABLE forecast (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site     TEXT   NOT NULL,
    position TEXT   NOT NULL,
    rule     TEXT   NOT NULL,
    at       BIGINT NOT NULL,
    doc      TEXT   NOT NULL,
    UNIQUE (site, position, rule, at)
);
