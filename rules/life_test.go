package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

// lived is a random life of two pumps, one below the other, with commands, outages and backlogs. The same
// seed gives the same life, however often the worker is restarted meanwhile.
func lived(t *testing.T, seed uint64, restarts *rand.Rand) *plant {
	t.Helper()
	set := loadLibrary(t)
	for _, r := range set.rules {
		if r.ID == "pump-suction-pressure" {
			r.Latching = true
		}
	}
	p := newPlant(t, set)
	p.position("P-101", "centrifugal_pump", faultline.CriticalityA)
	p.position("P-102", "centrifugal_pump", faultline.CriticalityB)
	p.parent("P-102", "P-101")
	p.random = restarts
	r := rand.New(rand.NewPCG(seed, 77))
	rules := []string{"pump-vibration-de", "pump-suction-pressure", "equipment-silent", ""}
	verbs := []string{faultline.VerbShelve, faultline.VerbUnshelve, faultline.VerbOutOfService, faultline.VerbReturn, faultline.VerbReset, faultline.VerbAcknowledge}
	for range 45 {
		pos := []string{"P-101", "P-102"}[r.IntN(2)]
		switch r.IntN(10) {
		case 0:
			p.values[pos]["vibration_de"] = []string{"2", "8", "12", "bad:timeout"}[r.IntN(4)]
		case 1:
			p.values[pos]["suction_pressure"] = []string{"1.5", "0.6", "0.2"}[r.IntN(3)]
		case 2:
			p.silent[pos] = r.IntN(2) == 0
		case 3:
			p.silent["gw1"] = r.IntN(3) == 0
		case 4:
			was := p.lag
			if p.lag = []time.Duration{0, 0, 5 * time.Minute}[r.IntN(3)]; p.lag < was {
				p.now = p.now.Add(was) // frames never go back
			}
			if p.lag > was {
				p.now = p.now.Add(p.lag)
			}
		case 5: // the fault is repaired, and what latched is reset
			p.values[pos]["suction_pressure"] = "1.5"
			for range 20 {
				p.second()
			}
			if restarts != nil {
				p.feed(p.worker.place)
			}
			p.command(faultline.Command{Verb: faultline.VerbReset, Position: pos, Rule: "pump-suction-pressure", By: "anna"})
		default:
			if restarts != nil {
				p.feed(p.worker.place) // a command is answered when all before it was seen
			}
			p.command(faultline.Command{Verb: verbs[r.IntN(len(verbs))], Position: pos, Rule: rules[r.IntN(len(rules))], By: "anna", Reason: "because",
				Until: p.now.Add(time.Duration(1+r.IntN(120)) * time.Second)})
		}
		for range 1 + r.IntN(30) {
			p.second()
		}
	}
	p.random = nil
	p.pump()
	return p
}

// What keeps alarms from people survives restarts at any moment, and the history of every alarm is one
// that a small model of an alarm allows.
func TestAlarmLifeAtRandom(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(3) {
		straight := lived(t, seed, nil)
		same(t, fmt.Sprintf("seed %d with restarts", seed), lived(t, seed, rand.New(rand.NewPCG(seed, 78))).account(), straight.account())
		for _, u := range straight.worker.order {
			n := 0
			for _, r := range u.rules {
				if r.waits != nil {
					n++
				}
				if r.alarm == nil {
					continue
				}
				if r.alarm.SuppressedBy != u.life.Suppressed || r.waits != nil && !r.alarm.Muted() && !r.waits.Backlog && r.waits.Until.Before(straight.now.Add(-time.Second)) {
					t.Errorf("seed %d: %s: %+v waits with %+v in %+v", seed, r.name, r.alarm, r.waits, u.life)
				}
				events, err := straight.store.AlarmEvents(t.Context(), r.alarm.ID, 0)
				if err != nil {
					t.Fatal(err)
				}
				slices.Reverse(events)
				slices.SortStableFunc(events, func(a, b faultline.AlarmEvent) int { return a.StoredAt.Compare(b.StoredAt) })
				checkHistory(t, seed, r.alarm, events, seen)
			}
			if n != u.waiting {
				t.Errorf("seed %d: %s counts %d waiting alarms, there are %d", seed, u.id, u.waiting, n)
			}
		}
	}
	for _, transition := range []string{faultline.TransitionShelved, faultline.TransitionUnshelved, faultline.TransitionOutOfService, faultline.TransitionReturned,
		faultline.TransitionSuppressed, faultline.TransitionReleased, faultline.TransitionReset, faultline.TransitionReported, faultline.TransitionRaised, faultline.TransitionCleared} {
		if seen[transition] < 1 {
			t.Errorf("%s came up %d times: the lives prove little", transition, seen[transition])
		}
	}
}

// checkHistory walks an alarm's history with a model of what may follow what.
func checkHistory(t *testing.T, seed uint64, a *faultline.Alarm, events []faultline.AlarmEvent, seen map[string]int) {
	t.Helper()
	active, shelved, out, suppressed := false, false, false, false
	var told strings.Builder
	for _, e := range events {
		seen[e.Transition]++
		fmt.Fprintf(&told, " %s", e.Transition)
		ok := true
		switch e.Transition {
		case faultline.TransitionRaised:
			ok, active = !active, true
		case faultline.TransitionCleared:
			ok, active = active, false
		case faultline.TransitionRose, faultline.TransitionChattering, faultline.TransitionSettled:
			ok = active
		case faultline.TransitionShelved:
			shelved = true
		case faultline.TransitionUnshelved:
			ok, shelved = shelved, false
		case faultline.TransitionOutOfService:
			out = true
		case faultline.TransitionReturned:
			ok, out = out || a.OutOfService == "", false // an alarm that began out of service has no event of it
		case faultline.TransitionSuppressed:
			ok, suppressed = !suppressed, true
		case faultline.TransitionReleased:
			suppressed = false
		case faultline.TransitionReported:
			ok = !shelved && !out && !suppressed
		}
		if !ok {
			t.Errorf("seed %d: %s: %s is not allowed after%s", seed, a.ID, e.Transition, told.String())
		}
	}
	if active != a.Active || shelved != !a.ShelvedUntil.IsZero() || out && a.OutOfService == "" {
		t.Errorf("seed %d: %s: the history ends active %v, shelved %v, out of service %v:%s; the alarm is %+v", seed, a.ID, active, shelved, out, told.String(), a)
	}
}
