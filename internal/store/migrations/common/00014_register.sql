-- +goose Up
-- Who is served; the configuration knows no more of a customer than the name.
CREATE TABLE customer (
    name TEXT PRIMARY KEY,
    doc  TEXT NOT NULL
);
-- What people have set of customers, sites, assets and contracts: it wins over the configuration.
CREATE TABLE register (
    kind TEXT NOT NULL,
    site TEXT NOT NULL, -- of an asset, '' otherwise
    id   TEXT NOT NULL,
    doc  TEXT NOT NULL,
    PRIMARY KEY (kind, site, id)
);
