package bus

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// serverLog passes the server's log on: its notices are our debug messages. A fatal error does not end
// the process, as house rules want; StartServer returns it.
type serverLog struct {
	log *slog.Logger

	mu     sync.Mutex
	first  string        // the first error or fatal error
	broken chan struct{} // closed when a stream can store no more
	cause  string
}

// storeBroken is what the server logs, and tells nobody otherwise, when a stream failed to write. Such a
// stream refuses everything until the server is started again; a test fails if the words change.
const storeBroken = "critical write error"

func (l *serverLog) why() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}

func (l *serverLog) keep(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == "" {
		l.first = text
	}
}

func (l *serverLog) breakDown(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause == "" {
		l.cause = text
		close(l.broken)
	}
}

// Noticef, Debugf and Tracef are debug messages, the others keep their level.
func (l *serverLog) Noticef(format string, v ...any) {
	l.log.Debug("bus server", "text", sprintf(format, v))
}

// Debugf is not called: debugging of the server is off.
func (l *serverLog) Debugf(format string, v ...any) {
	l.log.Debug("bus server", "text", sprintf(format, v))
}

// Tracef is not called: tracing of the server is off.
func (l *serverLog) Tracef(format string, v ...any) {
	l.log.Debug("bus server", "text", sprintf(format, v))
}

// Warnf keeps its level.
func (l *serverLog) Warnf(format string, v ...any) {
	l.log.Warn("bus server", "text", sprintf(format, v))
}

// Errorf keeps its level.
func (l *serverLog) Errorf(format string, v ...any) {
	text := sprintf(format, v)
	l.keep(text)
	if strings.Contains(strings.ToLower(text), storeBroken) {
		l.breakDown(text)
	}
	l.log.Error("bus server", "text", text)
}

// Fatalf is an error here.
func (l *serverLog) Fatalf(format string, v ...any) { l.Errorf(format, v...) }

func sprintf(format string, v []any) string { return fmt.Sprintf(format, v...) }
