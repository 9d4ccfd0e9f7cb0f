package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/sheet"
)

func TestEvaluation(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	h := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Hour) }
	for i, k := range []faultline.Ticket{
		{Site: "plant-3", Position: "E-401", ReceivedAt: h(-100), ResolvedAt: h(-90)},
		{Site: "plant-3", Position: "E-401", ReceivedAt: h(-50), ResolvedAt: h(-20)}, // the same again
		{Site: "plant-3", Position: "E-401", ReceivedAt: h(-24 * 40), ResolvedAt: h(-24 * 39)},
	} {
		k.ID, k.Kind, k.Maintenance, k.Status, k.Priority, k.FailureMode, k.EventAt, k.Count, k.Title = "e-"+string(rune('a'+i)), faultline.TicketFault, faultline.Corrective, faultline.StatusClosed, faultline.P3, "undervoltage", k.ReceivedAt, 1, "Voltage"
		k.ClosedAt, k.Assignee = k.ResolvedAt, "anna"
		f.addTicket(t, k, []faultline.TicketEvent{{At: k.ReceivedAt.Add(time.Hour), By: "anna", Kind: faultline.EventResponse}}, nil)
	}
	got := decode[DeskFigures](t, f.get("/api/v1/evaluation?by=site"))
	if got.By != "site" || len(got.Groups) != 1 || got.Groups[0].Group != "Plant 3 Hamburg" && got.Groups[0].Group == "" {
		t.Fatalf("%+v", got)
	}
	// Both of the last 30 days are repeats: the first one's forerunner was solved 39 days ago. The pump's open fault is none.
	if e := got.Total; e.Received != 4 || e.Failures != 3 || e.Repeats != 2 || e.Fixed != 2 || e.MeanRepair != 3600*(10+30)/2 || e.ResponseMet != 2 || e.MeanBetween == 0 {
		t.Errorf("%+v", e)
	}
	months := decode[DeskFigures](t, f.get("/api/v1/evaluation?by=month&days=90"))
	if len(months.Groups) != 2 || months.Groups[0].Group != "2026-02" || months.Groups[1].Group != "2026-03" || months.Groups[0].MeanBetween != 0 {
		t.Errorf("%+v", months.Groups)
	}
	if teams := decode[DeskFigures](t, f.get("/api/v1/evaluation?by=team")); teams.Groups[0].Group != "no team" && teams.Groups[1].Group != "no team" {
		t.Errorf("%+v", teams.Groups)
	}
	for _, by := range evaluationGroups {
		for _, format := range sheet.Formats {
			a := f.get("/api/v1/evaluation/export?by=" + by + "&format=" + format)
			rows, err := sheet.Read([]byte(a.body))
			if err != nil || len(rows) < 3 || rows[0].Cells[0] != by || rows[len(rows)-1].Cells[0] != "total" || rows[len(rows)-1].Cells[1] != "4" {
				t.Errorf("%s as %s: %v %v", by, format, rows, err)
			}
			if d := a.header.Get("Content-Disposition"); !strings.Contains(d, "evaluation-2026-02-12-2026-03-14."+format) {
				t.Error(d)
			}
		}
		if body := f.get("/figures/desk?by=" + by).body; !strings.Contains(body, "Figures of each group") || !strings.Contains(body, "2 of 3 failures had been solved shortly before") || !strings.Contains(body, "format=xlsx") {
			t.Errorf("the page by %s: %.3000s", by, body)
		}
	}
	for _, bad := range []string{"by=colour", "from=2026-03-15T00:00:00Z", "from=1999-01-01T00:00:00Z", "to=x"} {
		if a := f.get("/api/v1/evaluation?" + bad); a.code != http.StatusBadRequest {
			t.Errorf("%s: %d", bad, a.code)
		}
	}
	if body := f.get("/figures/desk?days=7&site=clinic").body; !strings.Contains(body, "No ticket was received in this time") {
		t.Error("nothing to evaluate is not said")
	}
	if body := f.get("/tickets/new?kind=improvement&site=clinic").body; !strings.Contains(body, "improvement") {
		t.Error("an improvement cannot be planned")
	}
}
