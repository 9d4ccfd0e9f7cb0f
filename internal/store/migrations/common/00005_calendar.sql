-- +goose Up
-- When a desk works: the clocks of a contract's tickets count only that time.
CREATE TABLE calendar (
    id  TEXT PRIMARY KEY,
    doc TEXT NOT NULL
);
