package inspect

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

func TestDue(t *testing.T) {
	p := (&Plan{ID: "c-4000", Title: "4,000 h service", AssetKind: "compressor", Meter: "running_hours", Every: 4000, Unit: "h", Jobs: []string{"Oil", "Filter"}}).Domain()
	if p.Window != Window {
		t.Errorf("a plan without a window has %v", p.Window)
	}
	at := time.Date(2026, 2, 20, 8, 0, 0, 0, time.UTC)
	i, ticket, err := Due(&p, "plant", "C-201", 3, 12000.4, at, "Running hours 12000 h.")
	if err != nil {
		t.Fatal(err)
	}
	if i.Status != faultline.InspectionDue || i.Cycle != 3 || i.Reading != 12000.4 || !i.Until.Equal(time.Date(2026, 3, 6, 8, 0, 0, 0, time.UTC)) {
		t.Errorf("inspection: %+v", i)
	}
	if ticket.Kind != faultline.TicketInspection || ticket.Maintenance != faultline.Predetermined || ticket.Title != "C-201: 4,000 h service" ||
		len(ticket.Keys) != 1 || ticket.Keys[0] != "plant|C-201|c-4000|3" || ticket.Cycle != 3 || ticket.Plan != "c-4000" {
		t.Errorf("ticket: %+v", ticket)
	}
	if want := "Running hours 12000 h.\nTo be done until 2026-03-06:\n1. Oil\n2. Filter\n"; ticket.Text != want {
		t.Errorf("text: %q", ticket.Text)
	}
	if _, _, err := Due(&p, "", "C-201", 3, 0, at, ""); !errors.Is(err, faultline.ErrInvalid) || !strings.Contains(err.Error(), "c-4000") {
		t.Errorf("without a site: %v", err)
	}
}
