-- +goose Up
-- +goose StatementBegin
CREATE TRIGGER write_event_keep BEFORE UPDATE ON write_event
BEGIN SELECT RAISE(ABORT, 'write_event is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER write_event_stay BEFORE DELETE ON write_event
BEGIN SELECT RAISE(ABORT, 'write_event is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER write_order_stay BEFORE DELETE ON write_order
BEGIN SELECT RAISE(ABORT, 'write_order is append-only'); END;
-- +goose StatementEnd
