package embedded

import (
	"context"
	"log/slog"
	"time"

	"go.uber.org/zap/zapcore"
)

// zapCore passes warnings and errors of the engine on to slog; the rest is of no use to anybody who
// did not write the engine.
type zapCore struct {
	log *slog.Logger
}

func (c zapCore) Enabled(l zapcore.Level) bool { return l >= zapcore.WarnLevel }

func (c zapCore) With(fields []zapcore.Field) zapcore.Core {
	return zapCore{log: slog.New(c.log.Handler().WithAttrs(attrs(fields)))}
}

func (c zapCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c zapCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	level := slog.LevelWarn
	if e.Level > zapcore.WarnLevel {
		level = slog.LevelError
	}
	ctx := context.Background()
	if !c.log.Enabled(ctx, level) {
		return nil
	}
	r := slog.NewRecord(time.Now(), level, e.Message, 0)
	r.AddAttrs(attrs(fields)...)
	return c.log.Handler().Handle(ctx, r)
}

func (c zapCore) Sync() error { return nil }

func attrs(fields []zapcore.Field) []slog.Attr {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(enc)
	}
	as := make([]slog.Attr, 0, len(enc.Fields))
	for k, v := range enc.Fields {
		as = append(as, slog.Any(k, v))
	}
	return as
}
