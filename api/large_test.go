package api

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	faultline "github.com/faultline-iot/faultline"
)

// BenchmarkLargeDesk measures the lists, filters and searches that people open at the server, over 5,000 assets at 50 sites
// and 100,000 tickets, one in a hundred open. Filling the store takes minutes, fewer with TMPDIR in memory: run it by itself, with -benchtime 20x.
func BenchmarkLargeDesk(b *testing.B) {
	if testing.Short() {
		b.Skip("fills a store for minutes")
	}
	f := newFixture(b)
	f.fillLarge(b, 50, 100, 100_000)
	for _, path := range []string{
		"/", "/assets", "/assets?site=site-07", "/assets?text=sn-4711", "/assets/site-07/P-011", "/tickets", "/tickets?show=all", "/tickets?show=all&offset=99900", "/tickets?show=all&text=sn-4711", "/tickets?show=all&text=bearing",
		"/tickets/T-050000", "/inspections", "/register",
		base + "/assets?limit=100", base + "/assets?text=sn-4711", base + "/tickets?limit=100", base + "/tickets?site=site-07&status=new,triaged", base + "/tickets?text=sn-4711", base + "/sites", base + "/alarms?open=true",
	} {
		b.Run(path, func(b *testing.B) {
			var most time.Duration
			for b.Loop() {
				began := time.Now()
				if a := f.get(path); a.code != http.StatusOK {
					b.Fatalf("%d %.300s", a.code, a.body)
				}
				most = max(most, time.Since(began))
			}
			b.ReportMetric(float64(most.Microseconds())/1000, "max-ms")
		})
	}
}

// fillLarge makes sites with positions each, and tickets at them.
func (f *fixture) fillLarge(t testing.TB, sites, positions, tickets int) {
	t.Helper()
	ctx, random := t.Context(), rand.New(rand.NewPCG(1, 2))
	for i := range sites {
		site := fmt.Sprintf("site-%02d", i)
		must(t, f.store.PutSite(ctx, faultline.Site{ID: site, Name: "Site " + site, Customer: fmt.Sprint("Customer ", i/2)}))
		for k := range positions {
			p := faultline.Position{Site: site, ID: fmt.Sprintf("P-%03d", k), Name: "Feed pump", Kind: "centrifugal_pump", Gateway: "gw-1", Profile: "pump@1",
				Asset: faultline.Asset{Serial: fmt.Sprintf("SN-%d", i*positions+k), Model: "KX 80-250", ProductKind: "industrial", Criticality: "B", Commissioned: noon.AddDate(-2, 0, i)}}
			for _, name := range []string{"bearing_temperature", "discharge_pressure", "flow", "motor_current", "power", "running_hours", "speed", "state", "suction_pressure", "vibration"} {
				p.Points = append(p.Points, faultline.Point{Name: name, Title: name, Unit: "x", Type: faultline.TypeFloat, Trend: true})
			}
			must(t, f.store.PutPosition(ctx, p))
		}
	}
	for i := range tickets {
		at := noon.Add(-time.Duration(tickets-i) * 5 * time.Minute)
		k := faultline.Ticket{ID: fmt.Sprint("large-", i), Kind: faultline.TicketFault, Status: faultline.StatusClosed, Priority: faultline.Priority(fmt.Sprint("P", 1+random.IntN(4))), Urgency: 2, Impact: "B",
			Site: fmt.Sprintf("site-%02d", random.IntN(sites)), Position: fmt.Sprintf("P-%03d", random.IntN(positions)), Serial: fmt.Sprintf("SN-%d", random.IntN(sites*positions)),
			Title: "Bearing temperature above 85 °C at the drive end", Text: "What to check: lubrication, alignment, load.", EventAt: at, ReceivedAt: at, Count: 1}
		if random.IntN(100) == 0 {
			k.Status = faultline.StatusTriaged
		}
		_, err := f.store.AddTicket(ctx, k, nil, nil)
		must(t, err)
	}
}
