package register_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/sheet"
	"github.com/faultline-iot/faultline/internal/sheet/register"
	"github.com/faultline-iot/faultline/internal/store"
)

var now = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func plant(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "f.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	must(t, s.SeedSite(t.Context(), faultline.Site{ID: "plant", Name: "Plant", Customer: "Acme"}))
	for _, p := range []string{"P-1", "P-2"} {
		must(t, s.SeedPosition(t.Context(), faultline.Position{Site: "plant", ID: p, Kind: "pump", Asset: faultline.Asset{Serial: "S-" + p, Model: "KX", Purchased: now}}))
	}
	must(t, s.PutCalendar(t.Context(), faultline.Calendar{ID: "office", Zone: "UTC", Week: [7][]faultline.Interval{1: {{From: 480, To: 1020}}}}))
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func load(t testing.TB, s *store.Store, kind faultline.RegisterKind, data string, dry bool) register.Report {
	t.Helper()
	r, err := register.Import(t.Context(), s, kind, "list.csv", []byte(data), "anna", now, dry)
	must(t, err)
	return r
}

// TestWholeRegister imports all four tables, twice.
func TestWholeRegister(t *testing.T) {
	s := plant(t)
	for _, f := range []struct {
		kind           faultline.RegisterKind
		data           string
		added, changed int
	}{
		{faultline.RegisterCustomers, "Name;Contact;Mail;Language\nNordsee;Ms Wolf;desk@example.com;en\n北海;;;zh\n", 2, 0},
		{faultline.RegisterSites, "id,name,customer,region\nplant,,Nordsee,EU\nquay,Quay 7,Nordsee,EU\n", 1, 1},
		{faultline.RegisterAssets, "site,position,serial,customer,criticality,product kind,delivered,commissioned,warranty,proof of purchase\n" +
			"plant,P-1,,Nordsee,A,industrial,2026-01-31,,12 months from commissioning; 18 months from delivery; 8000 h,INV-77\n,,S-P-2,,B,,,46053,,\n", 0, 2},
		{faultline.RegisterContracts, "id,customer,sites,from,until,calendar,response_p1,pause_for_parts\nSC-1,Nordsee,plant;quay,2026-01-01,2027-01-01,office,30m,yes\n", 1, 0},
	} {
		if r := load(t, s, f.kind, f.data, true); len(r.Problems) > 0 || r.Added != f.added || r.Changed != f.changed {
			t.Fatalf("%s, dry: %+v", f.kind, r)
		}
		if r := load(t, s, f.kind, f.data, false); len(r.Problems) > 0 || r.Added != f.added || r.Changed != f.changed {
			t.Fatalf("%s: %+v", f.kind, r)
		}
		if r := load(t, s, f.kind, f.data, false); len(r.Problems) > 0 || r.Same != r.Rows || r.Rows == 0 {
			t.Fatalf("%s again: %+v", f.kind, r)
		}
	}
	r, err := s.Register(t.Context())
	must(t, err)
	a := r.Positions[0].Asset
	if a.Serial != "S-P-1" || a.Customer != "Nordsee" || a.Criticality != "A" || !a.Delivered.Equal(time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)) ||
		a.Warranty == nil || len(a.Warranty.Periods) != 2 || a.Warranty.Hours != 8000 || len(a.Documents) != 1 || a.Documents[0].Ref != "INV-77" || a.Model != "KX" {
		t.Errorf("asset %+v", a)
	}
	if b := r.Positions[1].Asset; b.Criticality != "B" || !b.Commissioned.Equal(a.Delivered) {
		t.Errorf("asset by its serial number: %+v", b)
	}
	k := r.Contracts[0]
	if k.Version != 1 || k.Name != "SC-1" || k.Targets.ResponseP1 != 30*time.Minute || !k.PauseForParts || !slices.Equal(k.Sites, []string{"plant", "quay"}) || !k.Covers("quay", "Nordsee", now) {
		t.Errorf("contract %+v", k)
	}

	// A longer contract is a new version; an empty warranty is the product's again.
	if r := load(t, s, faultline.RegisterContracts, "id,until\nSC-1,2028-01-01\n", false); r.Changed != 1 {
		t.Errorf("%+v", r)
	}
	if r := load(t, s, faultline.RegisterAssets, "site,position,warranty\nplant,P-1,-\n", false); r.Changed != 1 {
		t.Errorf("%+v", r)
	}
	r, err = s.Register(t.Context())
	must(t, err)
	if r.Contracts[0].Version != 2 || r.Contracts[0].Targets.ResponseP1 != 30*time.Minute || r.Positions[0].Asset.Warranty != nil {
		t.Errorf("%+v %+v", r.Contracts[0], r.Positions[0].Asset)
	}
}

// TestWorkbook imports what a spreadsheet program writes.
func TestWorkbook(t *testing.T) {
	var b bytes.Buffer
	must(t, sheet.Write(&b, sheet.XLSX, [][]any{{"site", "position", "accepted"}, {"plant", "P-2", 46053}}))
	r := load(t, plant(t), faultline.RegisterAssets, b.String(), false)
	if r.Changed != 1 || r.Outcomes[0].Fields[0] != (faultline.FieldChange{Name: "asset.accepted", After: `"2026-01-31T00:00:00Z"`}) {
		t.Errorf("%+v", r)
	}
}

// TestExchange takes another serial number only where the row says what it replaces.
func TestExchange(t *testing.T) {
	s := plant(t)
	r := load(t, s, faultline.RegisterAssets, "site,position,serial,replaces\nplant,P-1,S-new,S-P-1\n", false)
	if len(r.Problems) > 0 || r.Changed != 1 {
		t.Fatalf("%+v", r)
	}
	p, err := s.Position(t.Context(), "plant", "P-1")
	must(t, err)
	if p.Asset.Serial != "S-new" || !p.Asset.Purchased.IsZero() || p.Asset.Model != "" {
		t.Errorf("the old unit's dates stayed: %+v", p.Asset)
	}
}

// TestEveryProblemIsTold holds files with mistakes against what is said of them, and nothing is changed by any.
func TestEveryProblemIsTold(t *testing.T) {
	s := plant(t)
	for _, c := range []struct {
		kind faultline.RegisterKind
		data string
		says []string
	}{
		{"gateways", "id\nx\n", []string{"row 1: there is no table"}},
		{faultline.RegisterSites, "", []string{"row 1: the file has no rows"}},
		{faultline.RegisterSites, "id\nM\xfcller\n", []string{"row 1: line 2: the file is not UTF-8"}},
		{faultline.RegisterSites, "name,colour,name\na,b,c\n", []string{"column colour: is no column", "column name: stands twice", "column id: is missing"}},
		{faultline.RegisterSites, "id,name\nquay,Q\n,Nameless\nquay,R\nno/slash,S\nok,T,more\n", []string{"row 3, column id: is empty", "row 4: quay stands in row 2 already", "row 5, column id: site \"no/slash\"", "row 6: it has more cells"}},
		{faultline.RegisterSites, "id,customer\nquay,Acmee\n", []string{"row 2, column customer: there is no customer \"Acmee\": mend the spelling, or import customers first"}},
		{faultline.RegisterCustomers, "name,mail,language\nA,desk,fr\n", []string{"column mail: \"desk\"", "column language: \"fr\": use en or zh"}},
		{faultline.RegisterAssets, "site,position,serial,delivered,criticality,warranty\nplant,P-9,,,,\nplace,P-1,,,,\nplant,,,,,\n,P-1,,,,\n,,X-1,,,\n,,,2026-01-01,,\nplant,P-1,,31.01.2026,D,a year\nplant,P-2,S-P-1,1026-01-01,,0 months from birth\n",
			[]string{"row 2, column position: site plant has no position \"P-9\"", "row 3, column site: there is no site \"place\"", "row 4, column position: is empty", "row 5, column site: is empty", "row 6, column serial: \"X-1\" stands nowhere", "row 7: it names no asset",
				"row 8, column delivered: \"31.01.2026\" is no date", "row 8, column criticality: \"D\": use A, B or C", "row 8, column warranty: \"a year\"",
				"row 9, column serial: \"S-P-1\" stands at plant/P-1 already", "row 9, column replaces: plant/P-2 holds", "row 9, column delivered", "row 9, column warranty: periods[0].from", "row 9, column warranty: periods[0].months"}},
		{faultline.RegisterAssets, "site,position,serial\nplant,P-1,-\n", []string{"row 2, column serial: a serial number is not emptied here"}},
		{faultline.RegisterContracts, "id,customer,from,until,calendar,response,sites,pause_for_parts\nC-1,Acme,2026-02-01,2026-01-01,night,4 hours,moon,maybe\nC-2,,,,,,,\n",
			[]string{"row 2, column calendar", "row 2, column response: \"4 hours\"", "row 2, column sites: there is no site \"moon\"", "row 2, column pause_for_parts", "row 2, column until: must be after from", "row 3, column from", "row 3, column until", "row 3, column customer"}},
	} {
		for _, dry := range []bool{true, false} {
			r := load(t, s, c.kind, c.data, dry)
			said := ""
			for _, p := range r.Problems {
				said += p.String() + "\n"
			}
			for _, want := range c.says {
				if !strings.Contains(said, want) {
					t.Errorf("%s %.30q: nothing says %q:\n%s", c.kind, c.data, want, said)
				}
			}
			if len(r.Problems) != len(c.says) {
				t.Errorf("%s %.30q: %d problems, want %d:\n%s", c.kind, c.data, len(r.Problems), len(c.says), said)
			}
		}
	}
	entries, err := s.RegisterEntries(t.Context())
	must(t, err)
	if len(entries) > 0 {
		t.Errorf("something was changed: %+v", entries)
	}
	var many strings.Builder
	many.WriteString("id\n")
	for i := range 2000 {
		fmt.Fprintf(&many, "!%d\n", i)
	}
	if r := load(t, s, faultline.RegisterSites, many.String(), true); len(r.Problems) != 1000 {
		t.Errorf("%d problems of a file that is wrong throughout", len(r.Problems))
	}
}
