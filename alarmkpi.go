package faultline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Targets of an alarm system after ISA-18.2, per person who watches it.
const (
	AlarmsPerDay     = 150
	FloodWindow      = 10 * time.Minute
	FloodAlarms      = 10   // more than these in a FloodWindow are a flood
	FloodShareTarget = 0.01 // of the windows
	StandingAfter    = 24 * time.Hour
)

// TestAlarmRule is the rule of test alarms, which figures leave out.
const TestAlarmRule = "test-alarm"

// AlarmKPIs says how good the alarms of a site, or of all, were from From until To.
type AlarmKPIs struct {
	From       time.Time        `json:"from"`
	To         time.Time        `json:"to"`
	Alarms     int              `json:"alarms"` // that people were told of
	Muted      int              `json:"muted"`  // raised while shelved, suppressed or out of service
	PerDay     float64          `json:"per_day"`
	Per10Min   float64          `json:"per_10_min"`
	Peak       int              `json:"peak_10_min"` // most in one window
	Windows    int              `json:"windows"`     // of ten minutes
	Floods     int              `json:"floods"`      // windows with more than FloodAlarms
	FloodShare float64          `json:"flood_share"`
	Standing   int              `json:"standing"`   // active for more than StandingAfter at To
	Chattering int              `json:"chattering"` // alarms that chattered
	Mix        map[Severity]int `json:"mix"`
	Top        []AlarmActor     `json:"top"` // at most ten, the worst first
	// Met tells whether the targets for alarms a day and for floods are met.
	Met bool `json:"met"`
}

// AlarmActor is an alarm that takes much of people's attention.
type AlarmActor struct {
	Alarm      string  `json:"alarm"` // site/position/rule
	Title      string  `json:"title"`
	Count      int     `json:"count"`
	Share      float64 `json:"share"` // of all alarms
	Standing   bool    `json:"standing,omitempty"`
	Chattering bool    `json:"chattering,omitempty"`
	Do         string  `json:"do"` // what to do about it
}

// AlarmFigures works the figures out of the alarms as they are at to and of their transitions from from
// until to, in any order. Test alarms are left out.
func AlarmFigures(alarms []Alarm, events []AlarmEvent, from, to time.Time) AlarmKPIs {
	k := AlarmKPIs{From: from, To: to, Mix: map[Severity]int{}, Top: []AlarmActor{}}
	actors := map[string]*AlarmActor{}
	actor := func(id string) *AlarmActor {
		if actors[id] == nil {
			actors[id] = &AlarmActor{Alarm: id}
		}
		return actors[id]
	}
	for i := range alarms {
		a := &alarms[i]
		if a.Rule == TestAlarmRule {
			continue
		}
		if a.Active && to.Sub(a.RaisedAt) > StandingAfter {
			k.Standing++
			actor(a.ID).Standing = true
		}
		if known := actors[a.ID]; known != nil {
			known.Title = a.Title
		}
	}
	if d := to.Sub(from); d > 0 {
		k.Windows = int((d + FloodWindow - 1) / FloodWindow)
	}
	windows := make(map[int]int)
	muted := map[string]map[string]bool{} // alarm → what keeps it from people
	risen := map[string]Severity{}        // active alarm → the severity that its activation is counted with
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b AlarmEvent) int { return cmp.Or(a.StoredAt.Compare(b.StoredAt), a.At.Compare(b.At)) })
	for i := range events {
		e := &events[i]
		if e.At.Before(from) || !e.At.Before(to) || strings.HasSuffix(e.Alarm, "/"+TestAlarmRule) {
			continue
		}
		if muted[e.Alarm] == nil {
			muted[e.Alarm] = map[string]bool{}
		}
		m := muted[e.Alarm]
		switch e.Transition {
		case TransitionShelved, TransitionSuppressed, TransitionOutOfService:
			m[e.Transition] = true
		case TransitionUnshelved:
			delete(m, TransitionShelved)
		case TransitionReleased:
			delete(m, TransitionSuppressed)
		case TransitionReturned:
			delete(m, TransitionOutOfService)
		case TransitionChattering:
			if a := actor(e.Alarm); !a.Chattering {
				a.Chattering = true
				k.Chattering++
			}
		case TransitionRose:
			if was := risen[e.Alarm]; was != SeverityNone {
				k.Mix[was]--
				k.Mix[e.Severity]++
				risen[e.Alarm] = e.Severity
			}
		case TransitionRaised:
			if delete(risen, e.Alarm); len(m) > 0 {
				k.Muted++
				continue
			}
			k.Alarms++
			k.Mix[e.Severity]++
			risen[e.Alarm] = e.Severity
			actor(e.Alarm).Count++
			windows[int(e.At.Sub(from)/FloodWindow)]++
		}
	}
	for _, n := range windows {
		k.Peak = max(k.Peak, n)
		if n > FloodAlarms {
			k.Floods++
		}
	}
	if k.Windows > 0 {
		k.Per10Min = float64(k.Alarms) / float64(k.Windows)
		k.FloodShare = float64(k.Floods) / float64(k.Windows)
		k.PerDay = float64(k.Alarms) / (to.Sub(from).Hours() / 24)
	}
	k.Met = k.PerDay <= AlarmsPerDay && k.FloodShare < FloodShareTarget
	titles := map[string]string{}
	for i := range alarms {
		titles[alarms[i].ID] = alarms[i].Title
	}
	for _, a := range actors {
		if k.Alarms > 0 {
			a.Share = float64(a.Count) / float64(k.Alarms)
		}
		a.Title, a.Do = titles[a.Alarm], a.advice()
		k.Top = append(k.Top, *a)
	}
	slices.SortFunc(k.Top, func(a, b AlarmActor) int { return cmp.Or(b.Count-a.Count, strings.Compare(a.Alarm, b.Alarm)) })
	k.Top = k.Top[:min(len(k.Top), 10)]
	return k
}

func (a *AlarmActor) advice() string {
	switch {
	case a.Chattering:
		return "It chatters: widen its dead band or lengthen its delays, and look at the sensor's wiring."
	case a.Standing:
		return "It has stood for more than a day: repair the fault, or take the equipment out of service with a date. If it is normal, its limit is wrong."
	case a.Share >= 0.05 && a.Count >= 10:
		return fmt.Sprintf("It makes %.0f %% of all alarms: repair the cause, or check its limit against normal operation with a back-test.", 100*a.Share)
	case a.Count > 0:
		return "Check whether each time somebody had something to do; if not, change its limit or delay."
	}
	return "Nothing yet."
}
