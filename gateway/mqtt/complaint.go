package mqtt

import (
	"log/slog"
	"sync"
	"time"
)

// Reasons why what is published is not taken as it is. They are what the log calls them.
const (
	reasonTopic       = "topic" // may not be published there, or is no device's
	reasonOversized   = "oversized"
	reasonUndecodable = "undecodable"
	reasonTime        = "device_time"
)

const (
	againAfter = time.Minute // between two warnings of one kind
	quietAfter = time.Hour   // without it, a complaint is a new one
)

// complaints are warnings that are told once: when a device (or a user) begins to do something wrong.
// While it goes on they are counted, and the count is told when it ends.
type complaints struct {
	log *slog.Logger
	mu  sync.Mutex
	of  map[complaintKey]*complaint
}

type complaintKey struct{ kind, who, reason string } // positions and users of the configuration: few

type complaint struct {
	detail   string
	told     bool      // since it began
	toldAt   time.Time // the last warning
	last     time.Time
	untold   int // since the last line
	resolved bool
}

func newComplaints(log *slog.Logger) *complaints {
	return &complaints{log: log, of: map[complaintKey]*complaint{}}
}

// wrong notes that it happened at now. Another detail is another beginning. what is the message of the
// log; kind ("position" or "user") says what who is.
func (c *complaints) wrong(now time.Time, kind, who, reason, detail, what string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := complaintKey{kind, who, reason}
	p := c.of[k]
	if p == nil {
		p = &complaint{}
		c.of[k] = p
	}
	if p.resolved || p.detail != detail || now.Sub(p.last) >= quietAfter {
		p.told, p.resolved, p.detail = false, false, detail
	}
	p.last = now
	if p.told || !p.toldAt.IsZero() && now.Sub(p.toldAt) < againAfter {
		p.untold++
		return
	}
	c.log.Warn(what, append([]any{kind, who, "reason", reason, "not_logged", p.untold}, args...)...)
	p.told, p.toldAt, p.untold = true, now, 0
}

// right notes that the device does it well now, which ends what was told.
func (c *complaints) right(position string, reasons ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, reason := range reasons {
		p := c.of[complaintKey{"position", position, reason}]
		if p == nil || p.resolved {
			continue
		}
		p.resolved = true
		if p.told {
			c.log.Info("the messages of a device are in order again", "position", position, "reason", reason, "not_logged", p.untold)
			p.untold = 0
		}
	}
}
