package tsdb

import (
	"strconv"
	"time"
)

// Events is the measurement of what happened to alarms, tickets and inspections. It stands in the
// retention policy Hours.
const Events = Reserved + "events"

// Event is one thing that happened. ID grows within its Source and is never used again.
type Event struct {
	ID     int64
	At     time.Time
	Source string // alarm or ticket
	Kind   string // of the event: raised, opened, moved …

	Site, Position string
	Of             string // the rule of an alarm, the kind of a ticket
	Grade          string // severity of an alarm, priority of a ticket
	MadeUp, Test   bool

	Title, Text, Ref, By string // Ref: the alarm's id or the ticket's number
}

// AppendEvent appends the event's line, without a newline. The same event makes the same point. Two of
// one moment do not make one: a point stands in its event's millisecond, at as many nanoseconds as the
// last six digits of the id say.
func AppendEvent(dst []byte, e *Event) []byte {
	tags := map[string]string{"site": e.Site, "position": e.Position, "source": e.Source, "event": e.Kind, "of": e.Of}
	if e.MadeUp {
		tags["origin"] = Demo
	}
	if e.Test {
		tags["test"] = "true"
	}
	dst = append(appendHead(dst, Events, tags), ' ')
	field := func(name, typ string, v any) {
		if dst[len(dst)-1] != ' ' {
			dst = append(dst, ',')
		}
		dst = appendTyped(append(append(dst, name...), '='), typ, v)
	}
	field("id", "integer", e.ID)
	field("title", "string", e.Title)
	field("text", "string", e.Text)
	list := e.Source + "," + e.Kind
	for _, t := range []string{e.Grade, e.Site, e.Position} {
		if t != "" {
			list += "," + t
		}
	}
	field("tags", "string", list)
	for _, f := range [][2]string{{"ref", e.Ref}, {"grade", e.Grade}, {"by", e.By}} {
		if f[1] != "" {
			field(f[0], "string", f[1])
		}
	}
	at := e.At.UnixNano()
	at = at - at%int64(time.Millisecond) + e.ID%int64(time.Millisecond)
	return strconv.AppendInt(append(dst, ' '), at, 10)
}
