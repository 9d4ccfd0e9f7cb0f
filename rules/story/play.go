package story

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
	"github.com/faultline-iot/faultline/internal/document"
	"github.com/faultline-iot/faultline/rules"
)

// Result of one test.
type Result struct {
	Name   string
	OK     bool
	Lasted time.Duration // in the story's own time
}

// Run plays every test that pick (nil: all) wants, one after the other, and tells done (may be nil) of
// each. The error lists everything that is not as expected with its line; it is *document.Errors, or
// another one where a test could not be played.
func (s *Story) Run(ctx context.Context, pick func(name string) bool, done func(Result)) error {
	p := s.doc.Problems()
	for _, t := range s.tests {
		if pick != nil && !pick(t.Name) {
			continue
		}
		before := p.Len()
		if err := t.play(ctx, p); err != nil {
			return fmt.Errorf("test %q: %w", t.Name, err)
		}
		if done != nil {
			done(Result{t.Name, p.Len() == before, t.ends()})
		}
	}
	return p.Err()
}

// stage is a test that is being played.
type stage struct {
	*test
	player   *rules.Player
	problems *document.Problems
	sequence map[string]uint64 // by gateway
	commands int
}

// beat is how often gateways give a sign of life and the hub ticks: each second, or more rarely in a
// test of more than a day, so that a year does not take hours.
func (t *test) beat() time.Duration {
	seconds := time.Duration(1)
	if end := t.ends(); end > 24*time.Hour {
		seconds = end / (24 * time.Hour)
	}
	return seconds * time.Second
}

func (t *test) play(ctx context.Context, problems *document.Problems) error {
	player, err := rules.NewPlayer(ctx, t.set, rules.Stage{Positions: t.positions}, t.Start)
	if err != nil {
		return err
	}
	defer func() { _ = player.Close() }() // nothing of it is wanted any more
	s := &stage{test: t, player: player, problems: problems, sequence: map[string]uint64{}}
	end, beat := t.ends(), t.beat()
	actions, wants := order(t.Do, func(a *action) time.Duration { return a.At }), order(t.Expect, func(e *expectation) time.Duration { return e.At })
	reading, alive := time.Duration(0), time.Duration(0)
	for now := time.Duration(0); now <= end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		var messages []faultline.Message
		beats := now == alive
		if beats {
			alive += beat
			messages = s.heartbeats(now, messages)
		}
		if now == reading {
			reading += t.Every
			if messages, err = s.frames(now, messages); err != nil {
				return err
			}
		}
		if beats {
			messages = append(messages, faultline.Message{Kind: faultline.KindTick, Payload: []byte("{}"), StoredAt: t.Start.Add(now)})
		}
		if err := player.Play(ctx, messages...); err != nil {
			return err
		}
		for len(actions) > 0 && t.Do[actions[0]].At == now {
			if err := s.act(ctx, actions[0]); err != nil {
				return err
			}
			actions = actions[1:]
		}
		for len(wants) > 0 && t.Expect[wants[0]].At == now {
			i := wants[0]
			if err := t.Expect[i].check(ctx, problems, fmt.Sprintf("%s.expect[%d]", t.path, i), player, t.Start.Add(now)); err != nil {
				return err
			}
			wants = wants[1:]
		}
		next := min(reading, alive)
		if len(actions) > 0 {
			next = min(next, t.Do[actions[0]].At)
		}
		if len(wants) > 0 {
			next = min(next, t.Expect[wants[0]].At)
		}
		now = next
	}
	return nil
}

// order gives the indices of a list in the order of time.
func order[T any](list []T, at func(T) time.Duration) []int {
	indices := make([]int, len(list))
	for i := range indices {
		indices[i] = i
	}
	slices.SortStableFunc(indices, func(a, b int) int { return int(min(max(at(list[a])-at(list[b]), -1), 1)) })
	return indices
}

// up tells whether a gateway works.
func (s *stage) up(gateway string, now time.Duration) bool {
	n := s.gateways[gateway]
	if n == nil {
		return true
	}
	r, _ := n.at(int(now / s.Every))
	return !r.none
}

func (s *stage) heartbeats(now time.Duration, out []faultline.Message) []faultline.Message {
	at := s.Start.Add(now)
	told := map[string]bool{}
	for i := range s.positions {
		p := &s.positions[i]
		if told[p.Site+"/"+p.Gateway] || !s.up(p.Gateway, now) {
			continue
		}
		told[p.Site+"/"+p.Gateway] = true
		payload, err := json.Marshal(faultline.Heartbeat{Site: p.Site, Gateway: p.Gateway, At: at})
		if err != nil {
			continue // it is made of strings and a time of this era
		}
		out = append(out, faultline.Message{Kind: faultline.KindHeartbeat, Site: p.Site, Payload: payload, State: s.state(p.Gateway, now), StoredAt: at,
			ID: faultline.FrameID{Gateway: p.Gateway, Epoch: "story", Sequence: s.sequence[p.Gateway]}})
	}
	return out
}

// state is what a gateway says of itself; nil where the test says nothing of it.
func (s *stage) state(gateway string, now time.Duration) []byte {
	var state faultline.GatewayState
	said := false
	for _, w := range s.states[gateway] {
		segment, value := w.series.at(int(now / s.Every))
		sample, there, err := segment.sample(w.point, value)
		n, is := sample.Value.Number()
		if err != nil || !there || !is {
			continue
		}
		said = true
		switch w.point.Name {
		case faultline.PointBufferUsed:
			state.BufferUsed = n
		case faultline.PointBufferDisk:
			state.DiskShort = n != 0
		case faultline.PointConfig:
			state.Refused = int(n)
		}
	}
	data, err := json.Marshal(&state)
	if err != nil || !said {
		return nil // a number that is none
	}
	return data
}

func (s *stage) frames(now time.Duration, out []faultline.Message) ([]faultline.Message, error) {
	at, i := s.Start.Add(now), int(now/s.Every)
	for j := range s.positions {
		p := &s.positions[j]
		if !s.up(p.Gateway, now) {
			continue
		}
		f := faultline.Frame{Kind: p.Kind, Site: p.Site, Position: p.ID, Gateway: p.Gateway, Time: at}
		for _, w := range s.points[j] {
			segment, value := w.series.at(i)
			sample, there, err := segment.sample(w.point, value)
			if err != nil {
				return nil, err
			}
			if there {
				f.Samples = append(f.Samples, sample)
			}
		}
		if len(f.Samples) == 0 {
			continue
		}
		line, err := bus.AppendFrame(nil, &f)
		if err != nil {
			return nil, err
		}
		s.sequence[p.Gateway]++
		out = append(out, faultline.Message{Kind: faultline.KindFrame, Site: p.Site, Position: p.ID, Payload: line, StoredAt: at,
			ID: faultline.FrameID{Gateway: p.Gateway, Epoch: "story", Sequence: s.sequence[p.Gateway]}})
	}
	return out, nil
}

// act does what a person does.
func (s *stage) act(ctx context.Context, i int) error {
	a, path := s.Do[i], fmt.Sprintf("%s.do[%d]", s.path, i)
	switch a.Verb {
	case "resolve", "close", "cancel":
		return s.move(ctx, a, path)
	}
	site := ""
	for i := range s.positions {
		if s.positions[i].ID == a.Position || s.positions[i].Gateway == a.Position {
			site = s.positions[i].Site
		}
	}
	s.commands++
	c := faultline.Command{ID: fmt.Sprintf("c%d", s.commands), Verb: a.Verb, At: s.Start.Add(a.At), By: a.By, Site: site,
		Position: a.Position, Rule: a.Rule, Plan: a.Plan, Reason: a.Reason}
	if a.For != 0 {
		c.Until = c.At.Add(a.For)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := s.player.Play(ctx, faultline.Message{Kind: faultline.KindCommand, Payload: payload, StoredAt: c.At}); err != nil {
		return err
	}
	r, answered := s.player.Answer(c.ID)
	switch {
	case !answered:
		s.problems.Add(path, "at %v: %s was not answered", a.At, a.Verb)
	case r.OK && a.Refused:
		s.problems.Add(path, "at %v: want %s refused, but: %s", a.At, a.Verb, r.Message)
	case !r.OK && !a.Refused:
		s.problems.Add(path, "at %v: %s was refused: %s", a.At, a.Verb, r.Message)
	}
	return nil
}

// move is what people do to a ticket. Whether they may is the API's to say; here they do it.
func (s *stage) move(ctx context.Context, a *action, path string) error {
	tickets, err := ticketsOf(ctx, s.player)
	if err != nil {
		return err
	}
	if a.Ticket > len(tickets) {
		s.problems.Add(path+".ticket", "at %v: there are %d tickets only", a.At, len(tickets))
		return nil
	}
	now := s.Start.Add(a.At)
	_, err = s.player.Store().ChangeTicket(ctx, tickets[a.Ticket-1].ID, 0, func(t *faultline.Ticket) ([]faultline.TicketEvent, error) {
		from := t.Status
		switch a.Verb {
		case "resolve":
			t.Status, t.ResolvedAt = faultline.StatusResolved, now
		case "close":
			t.Status, t.ClosedAt = faultline.StatusClosed, now
		case "cancel":
			t.Status, t.CancelReason, t.ClosedAt = faultline.StatusCancelled, strings.TrimSpace(a.Reason), now
		}
		return []faultline.TicketEvent{{At: now, By: a.By, Kind: faultline.EventMoved, From: string(from), To: string(t.Status), Text: a.Reason}}, nil
	})
	return err
}
