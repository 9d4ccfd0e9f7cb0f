package api

import (
	"net/http"
	"testing"
	"time"

	faultline "github.com/faultline-iot/faultline"
)

// What the desk tells by itself is in the history once, whoever looks how often.
func TestWatchTellsOnce(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	k := f.addTicket(t, faultline.Ticket{ID: "w-1", Kind: faultline.TicketFault, Status: faultline.StatusTriaged, Priority: faultline.P1, Site: "plant-3", Position: "P-101", Title: "Pump stands", ReceivedAt: noon.Add(-50 * time.Minute), Count: 1}, nil, nil)
	silent := f.addTicket(t, faultline.Ticket{ID: "w-2", Kind: faultline.TicketFault, Status: faultline.StatusResolved, Priority: faultline.P3, Site: "plant-3", Position: "P-101", Title: "Was repaired", ReceivedAt: noon.AddDate(0, 0, -20), ResolvedAt: noon.AddDate(0, 0, -8), Count: 1}, nil, nil)
	test := f.addTicket(t, faultline.Ticket{ID: "w-3", Kind: faultline.TicketFault, Status: faultline.StatusNew, Priority: faultline.P1, Site: "plant-3", Position: "P-101", Title: "Test", ReceivedAt: noon.Add(-50 * time.Minute), Count: 1, Test: true}, nil, nil)
	kinds := func(id string) (out []string) {
		events, err := f.store.TicketEvents(t.Context(), id)
		must(t, err)
		for _, e := range events {
			if e.By == faultline.DeskName {
				out = append(out, e.Kind+" "+e.From+" "+e.To)
			}
		}
		return out
	}
	for range 3 {
		must(t, f.watch(t.Context(), noon))
	}
	if got := kinds(k.ID); len(got) != 1 || got[0] != "warning response 75" {
		t.Errorf("after 50 minutes: %q", got)
	}
	if got := kinds(silent.ID); len(got) != 1 || got[0] != "moved resolved closed" {
		t.Errorf("silence: %q", got)
	}
	if closed, err := f.store.Ticket(t.Context(), silent.ID); err != nil || closed.Status != faultline.StatusClosed || !closed.ClosedAt.Equal(noon) {
		t.Errorf("%v %+v", err, closed)
	}
	if got := kinds(test.ID); got != nil {
		t.Errorf("a test ticket is warned of: %q", got)
	}
	must(t, f.watch(t.Context(), noon.Add(11*time.Minute)))
	must(t, f.watch(t.Context(), noon.Add(27*time.Minute)))
	if got := kinds(k.ID); len(got) != 3 || got[2] != "escalated response 1" {
		t.Errorf("overdue: %q", got)
	}
	if a := f.do(http.MethodPost, base+"/tickets/"+k.Number+"/acknowledge", `{"reason":"on it"}`); a.code != http.StatusOK {
		t.Errorf("%d %s", a.code, a.body)
	}
	must(t, f.watch(t.Context(), noon.Add(10*time.Hour)))
	if got := kinds(k.ID); len(got) != 3 {
		t.Errorf("acknowledged, but told: %q", got[3:])
	}
}

// Of several processes one looks, each minute.
func TestWatchIsClaimed(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	clocks := f.chores()[0]
	must(t, f.unscoped.Schedule(t.Context(), clocks.job(noon)))
	claimed := 0
	for range 3 {
		list, err := f.unscoped.Claim(t.Context(), clocks.kind, f.owner, 1, clocks.every, noon)
		must(t, err)
		claimed += len(list)
	}
	if claimed != 1 {
		t.Errorf("claimed %d times", claimed)
	}
	must(t, clocks.once(t.Context(), f.Server)) // somebody else's: nothing to do
}
