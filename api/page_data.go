package api

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api/console"
	"github.com/faultline-iot/faultline/internal/store"
)

// formInteger reads a number of a form; none is 0.
func formInteger(c *call, name string) (int, error) {
	v := c.PostForm(name)
	if v == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return 0, invalid("%s: %q is no number", name, v)
	}
	return n, nil
}

func (s *Server) inspectionsPage(c *call) (any, error) {
	ctx := c.Request.Context()
	b, err := s.contentsFor(c)
	if err != nil {
		return nil, err
	}
	list, err := c.store.Inspections(ctx, store.InspectionFilter{})
	if err != nil {
		return nil, err
	}
	plans, err := c.store.Plans(ctx)
	if err != nil {
		return nil, err
	}
	m := s.rows(c, &b, ticketsOfInspections(list[:min(len(list), 4*pageRows)])...)
	var v console.Inspections
	for i := range list {
		row := m.inspection(&list[i], plans)
		if st := list[i].Status; st == faultline.InspectionDone || st == faultline.InspectionSkipped {
			v.Ended = append(v.Ended, row)
		} else {
			v.Open = append(v.Open, row)
		}
	}
	v.Ended = v.Ended[:min(len(v.Ended), 2*pageRows)]
	for _, p := range plans {
		row := console.PlanRow{Title: p.Title, ID: p.ID, Kind: p.AssetKind, Jobs: p.Jobs, Every: strings.TrimSpace(faultline.Float(p.Every).String() + " " + p.Unit)}
		if p.Meter != "" {
			row.Every += " (" + strings.ReplaceAll(p.Meter, "_", " ") + ")"
		}
		if p.Window > 0 {
			row.Window = console.Span(p.Window)
		}
		v.Plans = append(v.Plans, row)
	}
	return framed{shell: s.shell(c, "inspections", "Inspections", "inspection ticket", 0), view: v}, nil
}

func (s *Server) dataPage(c *call) (any, error) {
	ctx := c.Request.Context()
	b, err := s.contentsFor(c)
	if err != nil {
		return nil, err
	}
	ledger, err := s.ledger(c)
	if err != nil {
		return nil, err
	}
	gateways, err := s.gateways(c)
	if err != nil {
		return nil, err
	}
	letters, total, err := c.store.FindDeadLetters(ctx, store.DeadLetterFilter{Limit: newestLetters})
	if err != nil {
		return nil, err
	}
	m := s.rows(c, &b)
	v := console.Data{Facts: ledgerTiles(&ledger.Total), AllLetters: total}
	for i := range gateways {
		g := &gateways[i]
		row := console.GatewayRow{ID: g.ID, Site: b.siteName(g.Site), Seen: m.At(g.LastSeen), State: heardPill(g)}
		for j := range b.positions {
			if b.positions[j].Site == g.Site && b.positions[j].Gateway == g.ID {
				row.Assets++
			}
		}
		v.Gateways = append(v.Gateways, row)
	}
	for i := range ledger.Rows {
		r := &ledger.Rows[i]
		v.Ledger = append(v.Ledger, m.ledger(r))
		v.Gaps = append(v.Gaps, m.gaps(r, r.Gaps, false)...)
		v.Gaps = append(v.Gaps, m.gaps(r, r.Drops, true)...)
	}
	for i := range letters {
		v.Letters = append(v.Letters, m.letter(&letters[i]))
	}
	return framed{shell: s.shell(c, "data", "Data", "", 3*valuesEach), view: v}, nil
}

func figure(n uint64) string { return console.Group(int64(n)) }

func ledgerTiles(t *LedgerTotal) []console.Tile {
	bad := func(name string, n uint64, note string) console.Tile {
		tile := console.Tile{Name: name, Figure: figure(n), Tone: "normal", Note: note}
		if n > 0 {
			tile.Tone = "critical"
		}
		return tile
	}
	return []console.Tile{
		{Name: "Frames delivered", Figure: figure(t.Delivered), Tone: "info", Note: console.Text("of %s that gateways numbered", figure(t.Frames))},
		bad("Missing", t.Missing, console.Text("numbers that never arrived")),
		bad("Dropped at the edge", t.Dropped, console.Text("by a declared limit")),
		{Name: "Duplicates dropped", Figure: figure(t.Duplicate), Tone: "normal", Note: console.Text("%s late, %s expired", figure(t.Late), figure(t.Expired))},
	}
}

// newestGaps is how many ranges of each epoch the page lists.
const newestGaps = 20

func (m *rows) gaps(r *faultline.LedgerRow, list []faultline.Gap, dropped bool) (out []console.GapRow) {
	for _, g := range list[max(0, len(list)-newestGaps):] {
		out = append(out, console.GapRow{Gateway: r.Gateway, Site: r.Site, Frames: figure(g.Frames()), Range: fmt.Sprintf("%d–%d", g.From, g.To), Dropped: dropped,
			Noticed: m.At(g.Noticed), Before: m.At(g.Before), After: m.At(g.After)})
	}
	return out
}

func (m *rows) ledger(r *faultline.LedgerRow) console.LedgerRow {
	frames := uint64(0)
	if r.Last >= r.First && r.Last > 0 {
		frames = r.Last - r.First + 1
	}
	return console.LedgerRow{
		Gateway: r.Gateway, Site: r.Site, Epoch: r.Epoch, Frames: figure(frames), Delivered: figure(r.Delivered), Late: figure(r.Late), Duplicate: figure(r.Duplicate), Possibly: figure(r.Possibly),
		Missing: figure(r.Missing), Dropped: figure(r.Dropped), Expired: figure(r.Expired), Letter: figure(r.Dead), Whole: r.Missing == 0 && r.Dropped == 0, Last: m.At(r.LastAt),
	}
}

func (s *Server) contractsPage(c *call) (any, error) {
	b, err := s.contentsFor(c)
	if err != nil {
		return nil, err
	}
	m := s.rows(c, &b)
	v := console.Contracts{MayImport: agent.heldBy(c.who.role) && len(c.who.sites) == 0}
	for _, k := range b.contracts {
		row := console.ContractRow{ID: k.ID, Name: k.Name, Customer: k.Customer, Sites: console.Text("all"), Version: k.Version, From: k.From.In(s.location).Format("2 Jan 2006"), Until: k.Until.In(s.location).Format("2 Jan 2006"), Left: m.At(k.Until), MadeUp: k.MadeUp}
		if len(k.Sites) > 0 {
			row.Sites = strings.Join(k.Sites, ", ")
		}
		switch left := k.Until.Sub(c.now); {
		case left <= 0:
			row.State = console.Pill{Tone: "critical", Text: console.Text("Expired")}
		case c.now.Before(k.From):
			row.State = console.Pill{Tone: "info", Text: console.Text("Not yet in force")}
		case left < 90*24*time.Hour:
			row.State = console.Pill{Tone: "warning", Text: console.Text("About to expire")}
		default:
			row.State = console.Pill{Tone: "normal", Text: console.Text("In force")}
		}
		v.Rows = append(v.Rows, row)
	}
	return framed{shell: s.shell(c, "contracts", "Contracts", "", 0), view: v}, nil
}
