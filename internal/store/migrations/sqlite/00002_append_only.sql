-- +goose Up
-- +goose StatementBegin
CREATE TRIGGER alarm_event_keep BEFORE UPDATE ON alarm_event
BEGIN SELECT RAISE(ABORT, 'alarm_event is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER alarm_event_stay BEFORE DELETE ON alarm_event
BEGIN SELECT RAISE(ABORT, 'alarm_event is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER ticket_event_keep BEFORE UPDATE ON ticket_event
BEGIN SELECT RAISE(ABORT, 'ticket_event is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER ticket_event_stay BEFORE DELETE ON ticket_event
BEGIN SELECT RAISE(ABORT, 'ticket_event is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER evidence_keep BEFORE UPDATE ON evidence
BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER evidence_stay BEFORE DELETE ON evidence
BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END;
-- +goose StatementEnd
