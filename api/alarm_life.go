package api

import (
	"slices"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
)

// alarmStates are the seven, those that want a person first.
var alarmStates = []string{
	string(faultline.AlarmUnacked), string(faultline.AlarmReturned), string(faultline.AlarmAcked), string(faultline.AlarmShelved),
	string(faultline.AlarmSuppressed), string(faultline.AlarmOutOfService), string(faultline.AlarmNormal),
}

// alarmsIn gives a page of the alarms that are in a state now, or of all if it is empty. A state derives
// from facts and the time, so the store cannot choose by it: all that may be in it are read.
func (s *Server) alarmsIn(c *call, f store.AlarmFilter, state string) ([]faultline.Alarm, int, error) {
	if state == "" {
		return c.store.Alarms(c.Request.Context(), f)
	}
	limit, offset := f.Limit, f.Offset
	f.Limit, f.Offset = 0, 0
	switch faultline.AlarmState(state) {
	case faultline.AlarmUnacked, faultline.AlarmAcked, faultline.AlarmReturned:
		f.OnlyOpen = true
	}
	all, _, err := c.store.Alarms(c.Request.Context(), f)
	if err != nil {
		return nil, 0, err
	}
	all = slices.DeleteFunc(all, func(a faultline.Alarm) bool { return string(a.State(c.now)) != state })
	return window(all, limit, offset), len(all), nil
}

// verb is what a person may do about one alarm, or about all of a position.
type verb struct {
	name    string        // of the command
	longest time.Duration // how far away its end may be; 0: it has no end
	reason  bool          // it needs one
}

// The verbs of an alarm's life, by the last part of their path.
var verbs = map[string]verb{
	"shelve":         {faultline.VerbShelve, faultline.LongestShelf, true},
	"unshelve":       {faultline.VerbUnshelve, 0, false},
	"out-of-service": {faultline.VerbOutOfService, faultline.LongestOutOfService, true},
	"return":         {faultline.VerbReturn, 0, false},
	"reset":          {faultline.VerbReset, 0, false},
}

// check says what is wrong with the request itself; rules check it again, by the stream's time.
func (v *verb) check(reason string, until, now time.Time) error {
	least := 0
	if v.reason {
		least = 1
	}
	if err := checkText("reason", reason, least, maxText); err != nil || v.longest == 0 {
		return err
	}
	switch {
	case until.IsZero():
		return &refusal{invalid("until is missing: say when it ends"), nil, []string{"until"}}
	case !until.After(now):
		return invalid("until: %s has passed", until.Format(time.RFC3339))
	case until.Sub(now) > v.longest:
		return invalid("until: %s is too far away; at most %v from now", until.Format(time.RFC3339), v.longest)
	}
	return nil
}

// liveVerb carries a verb out at the alarm that the path names, or at the whole position if it names no rule.
func (s *Server) liveVerb(c *call, path, reason string, until time.Time) (Result, error) {
	v := verbs[path]
	if err := v.check(reason, until, c.now); err != nil {
		return Result{}, err
	}
	cmd := faultline.Command{Verb: v.name, At: c.now, By: c.by, Reason: reason, Until: until}
	if c.Param("rule") == "" {
		p, err := s.position(c)
		if err != nil {
			return Result{}, err
		}
		cmd.Site, cmd.Position = p.Site, p.ID
	} else {
		a, err := s.alarm(c)
		if err != nil {
			return Result{}, err
		}
		cmd.Site, cmd.Position, cmd.Rule = a.Site, a.Position, a.Rule
	}
	return s.send(c, cmd)
}

// postUntil answers verbs that have an end.
func (s *Server) postUntil(path string) func(*call) (any, error) {
	return func(c *call) (any, error) {
		var req Until
		if err := c.readJSON(&req); err != nil {
			return nil, err
		}
		r, err := s.liveVerb(c, path, req.Reason, req.Until)
		return pending(r), err
	}
}

// postEnd answers verbs that end something.
func (s *Server) postEnd(path string) func(*call) (any, error) {
	return func(c *call) (any, error) {
		var req End
		if err := c.readJSON(&req); err != nil {
			return nil, err
		}
		r, err := s.liveVerb(c, path, req.Reason, time.Time{})
		return pending(r), err
	}
}

// Until is the request to keep alarms from people for a while.
type Until struct {
	Reason string    `json:"reason" about:"why; needed"`
	Until  time.Time `json:"until" about:"when it ends by itself: shelving at most 24 h from now, out of service at most 31 days"`
}

// End is the request to end what keeps an alarm from people, or its latch.
type End struct {
	Reason string `json:"reason,omitempty"`
}
