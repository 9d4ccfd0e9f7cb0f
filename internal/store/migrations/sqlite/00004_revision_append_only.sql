-- +goose Up
-- +goose StatementBegin
CREATE TRIGGER revision_keep BEFORE UPDATE OF kind, name, version, doc, body ON revision
BEGIN SELECT RAISE(ABORT, 'revision is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER revision_stay BEFORE DELETE ON revision
BEGIN SELECT RAISE(ABORT, 'revision is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER revision_event_keep BEFORE UPDATE ON revision_event
BEGIN SELECT RAISE(ABORT, 'revision_event is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER revision_event_stay BEFORE DELETE ON revision_event
BEGIN SELECT RAISE(ABORT, 'revision_event is append-only'); END;
-- +goose StatementEnd
