package api

import (
	"strings"
	"testing"
	"time"

	faultline "github.com/faultline-iot/faultline"
)

// TestBadSamplesAreNoData: a device that does not answer still sends frames, of bad samples.
func TestBadSamplesAreNoData(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	asset := func() Asset { return decode[Asset](t, f.get("/api/v1/assets/plant-3/E-401")) }
	if a := asset(); a.State != AssetNormal {
		t.Fatalf("%s", a.State)
	}
	last := asset().LastDataAt
	f.takeFrame(faultline.Frame{Site: "plant-3", Position: "E-401", Time: noon, Samples: []faultline.Sample{{Point: "power", Quality: faultline.BadTimeout}}})
	if a := asset(); a.State != AssetNoData || !a.LastDataAt.Equal(last) {
		t.Errorf("%s, last data at %s, want no_data and %s", a.State, a.LastDataAt, last)
	}
	f.takeFrame(faultline.Frame{Site: "plant-3", Position: "E-401", Time: noon.Add(time.Second), Samples: []faultline.Sample{{Point: "power", Value: faultline.Float(3), Quality: faultline.Good}}})
	// One point of several that has no value does not take the others' word.
	f.takeFrame(faultline.Frame{Site: "plant-3", Position: "E-401", Time: noon.Add(2 * time.Second), Samples: []faultline.Sample{{Point: "voltage", Quality: faultline.BadIllegalAddress}}})
	if a := asset(); a.State != AssetNormal || !a.LastDataAt.Equal(noon.Add(time.Second)) {
		t.Errorf("%s, last data at %s", a.State, a.LastDataAt)
	}
	f.now = func() time.Time { return noon.Add(time.Hour) }
	if a := asset(); a.State != AssetNoData {
		t.Errorf("%s after an hour of silence", a.State)
	}
}

func TestTestTicketsAreNotCounted(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	before := f.get("/").body
	f.addTicket(t, faultline.Ticket{ID: "test-1", Kind: faultline.TicketFault, Status: faultline.StatusNew, Priority: faultline.P4, Site: "plant-3", Position: "E-401", Title: "Test", Test: true, ReceivedAt: noon, Count: 1}, nil, nil)
	after := f.get("/").body
	if b := `Tickets<span class="badge">2</span>`; !strings.Contains(before, b) || !strings.Contains(after, b) {
		t.Error("the badge counts it")
	}
	if a := decode[Asset](t, f.get("/api/v1/assets/plant-3/E-401")); a.OpenTickets != 0 {
		t.Errorf("the asset counts %d", a.OpenTickets)
	}
	if !strings.Contains(f.get("/tickets").body, "T-000004") {
		t.Error("the list hides it")
	}
}
