package faultline

import (
	"strings"
	"testing"
	"time"
)

// The desk looks each minute; what it told is told once, until somebody has seen to it.
func TestWatch(t *testing.T) {
	look := func(k *Ticket, from, to time.Duration) string {
		var told []string
		for at := from; at <= to; at += time.Minute {
			now := t0.Add(at)
			for _, e := range k.Watch(k.Clocks(DefaultService, now), now) {
				k.Note(e)
				if e.Kind == EventMoved {
					k.Status = Status(e.To)
				}
				told = append(told, at.String()+" "+e.Kind+" "+e.From+" "+e.To)
			}
		}
		return strings.Join(told, "; ")
	}
	do := func(k *Ticket, at time.Duration, kind string) {
		k.Note(TicketEvent{At: t0.Add(at), By: "anna", Kind: kind})
	}
	min := time.Minute

	urgent := Ticket{Kind: TicketFault, Priority: P1, Status: StatusNew, ReceivedAt: t0}
	if got, want := look(&urgent, 0, 92*min), "45m0s warning response 75; 1h1m0s warning response 100; 1h16m0s escalated response 1; 1h31m0s escalated response 2"; got != want {
		t.Errorf("P1 nobody sees to:\n got %s\nwant %s", got, want)
	}
	if !urgent.Unseen() {
		t.Error("nobody has seen it, but it counts as seen")
	}
	do(&urgent, 93*min, EventAcknowledged)
	if urgent.Unseen() {
		t.Error("acknowledged, but unseen")
	}
	if got := look(&urgent, 94*min, 300*min); got != "" {
		t.Errorf("acknowledged, but told: %s", got)
	}
	do(&urgent, 301*min, EventResponse) // an update to the customer is due an hour later
	if got, want := look(&urgent, 302*min, 363*min), "5h46m0s warning update 75; 6h2m0s warning update 100"; got != want {
		t.Errorf("updates:\n got %s\nwant %s", got, want)
	}

	forgotten := Ticket{Kind: TicketFault, Priority: P1, Status: StatusNew, ReceivedAt: t0}
	if got := look(&forgotten, 0, 27*60*min+30*min); !strings.HasSuffix(got, "3h31m0s escalated response 10") { // 1 h 1 min and ten quarters of an hour
		t.Errorf("ten times, then once a day: %s", got)
	}
	if got, want := look(&forgotten, 27*60*min+31*min, 51*60*min), "27h31m0s escalated response 11; 37h0m0s warning answer 75; 49h1m0s warning answer 100; 49h16m0s escalated answer 1; 49h31m0s escalated answer 2"; !strings.HasPrefix(got, want) {
		t.Errorf("for as long as nobody sees to it:\n got %s\nwant %s …", got, want)
	}

	ordinary := Ticket{Kind: TicketManual, Priority: P3, Status: StatusNew, ReceivedAt: t0}
	if got, want := look(&ordinary, 0, 29*60*min), "18h0m0s warning response 75; 24h1m0s warning response 100; 28h1m0s escalated response 1"; got != want {
		t.Errorf("P3:\n got %s\nwant %s", got, want)
	}
	do(&ordinary, 29*60*min+30*time.Second, EventResponse)
	if got := look(&ordinary, 30*60*min, 40*60*min); got != "" {
		t.Errorf("answered, but told: %s", got)
	}

	silent := Ticket{Kind: TicketFault, Priority: P3, Status: StatusResolved, ReceivedAt: t0, ResolvedAt: t0.Add(time.Hour)}
	if got := look(&silent, 0, 7*24*60*min); got != "" {
		t.Errorf("closed too early: %s", got)
	}
	if got, want := look(&silent, 7*24*60*min, 7*24*60*min+120*min), "169h0m0s moved resolved closed"; got != want {
		t.Errorf("silence: %s, want %s", got, want)
	}
	for _, k := range []Ticket{{Kind: TicketInspection, Status: StatusNew, ReceivedAt: t0}, {Kind: TicketFault, Priority: P1, Status: StatusCancelled, ReceivedAt: t0}} {
		if got := look(&k, 0, 10*60*min); got != "" {
			t.Errorf("%s %s: %s", k.Kind, k.Status, got)
		}
	}
}
