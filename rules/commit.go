package rules

import (
	"context"
	"errors"
	"time"

	"github.com/faultline-iot/faultline"
)

// commit writes the batch's effects. It tries again for as long as the store may come back.
func (w *worker) commit(ctx context.Context) (outcome, error) {
	if len(w.effects) == 0 {
		return outcome{}, nil
	}
	var out outcome
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := w.lease.Effects(ctx, func(tx Tx) error {
			d := newDesk(tx, w.current())
			for i := range w.effects {
				if err := d.carry(&w.effects[i]); err != nil {
					return err
				}
			}
			out = d.out
			return nil
		})
		switch {
		case err == nil:
			return out, nil
		case ctx.Err() != nil || errors.Is(err, faultline.ErrFenced):
			return out, err
		case permanent(err):
			return w.commitEach(ctx)
		}
		w.engine.metrics.retries.WithLabelValues("effects").Inc()
		w.log.Warn("writing alarms and tickets failed; trying again", "error", err, "in", wait)
		if !pause(ctx, wait) {
			return out, ctx.Err()
		}
	}
}

// commitEach writes the effects one by one and leaves out what the store will never take, so that one
// bad effect does not stop all others.
func (w *worker) commitEach(ctx context.Context) (all outcome, err error) {
	all = newDesk(nil, nil).out
	for i := range w.effects {
		e := &w.effects[i]
		var out outcome
		for {
			err := w.lease.Effects(ctx, func(tx Tx) error {
				d := newDesk(tx, w.current())
				err := d.carry(e)
				out = d.out
				return err
			})
			if err == nil {
				all.merge(out)
				break
			}
			if ctx.Err() != nil || errors.Is(err, faultline.ErrFenced) {
				return all, err
			}
			if permanent(err) {
				w.engine.metrics.refused.Inc()
				w.log.Error("an alarm's effect is refused for good and left out", "alarm", e.event.Alarm, "transition", e.event.Transition, "error", err)
				break
			}
			w.engine.metrics.retries.WithLabelValues("effects").Inc()
			if !pause(ctx, time.Second) {
				return all, ctx.Err()
			}
		}
	}
	return all, nil
}

func (o *outcome) merge(p outcome) {
	o.events = append(o.events, p.events...)
	for k, v := range p.tickets {
		o.tickets[k] = v
	}
	for k, v := range p.replies {
		o.replies[k] = v
	}
	for k, n := range p.counts {
		o.counts[k] += n
	}
	o.skipped += p.skipped
}

// current is the latest world: contracts may have changed since the worker began. Its positions are
// those of the worker's, or the worker is about to end.
func (w *worker) current() *world { return w.engine.world.Load() }

// told tells the outside what was committed.
func (w *worker) told(ctx context.Context, out outcome) {
	m := w.engine.metrics
	for i := range w.effects {
		e := &w.effects[i]
		if e.rule != nil && e.rule.alarm != nil {
			if t, ok := out.tickets[e.rule.alarm.ID]; ok {
				e.rule.alarm.Ticket = t
			}
		}
		if e.event.Transition != "" {
			m.transitions.WithLabelValues(e.event.Transition).Inc()
		}
	}
	for what, n := range out.counts {
		m.tickets.WithLabelValues(what).Add(float64(n))
	}
	m.replayed.Add(float64(out.skipped))
	if w.engine.Publish != nil {
		for _, e := range out.events {
			if err := w.engine.Publish(e); err != nil {
				m.retries.WithLabelValues("event").Inc() // pages look again when they reconnect
			}
		}
	}
	for _, a := range w.answers {
		if text := out.replies[a.ID]; text != "" {
			a.Message = text
		}
		if err := w.engine.Source.Answer(ctx, a); err != nil && ctx.Err() == nil {
			w.log.Warn("a command could not be answered", "command", a.ID, "error", err)
		}
	}
}
