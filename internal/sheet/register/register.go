// Package register reads tables of customers, sites, assets and contracts, as people keep them in spreadsheets, into
// changes of the register. A table is taken whole or not at all, and every problem in it is reported at once.
package register

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/sheet"
)

// Store is where the register is. ChangeRegister is all or nothing, audited, and with dry changes nothing;
// see store.Store.
type Store interface {
	Register(context.Context) (faultline.Register, error)
	ChangeRegister(ctx context.Context, changes []faultline.RegisterChange, by, source string, at time.Time, dry bool) ([]faultline.RegisterOutcome, error)
}

// maxProblems are told of one table; it is then so wrong that the rest may wait.
const maxProblems = 1000

// Problem is what is wrong with a cell, or with a row where Column is empty, and what to do.
type Problem struct {
	Row    int    `json:"row" about:"line of the file or row of the sheet, from 1"`
	Column string `json:"column,omitempty"`
	Text   string `json:"text"`
}

func (p Problem) String() string {
	if p.Column == "" {
		return fmt.Sprintf("row %d: %s", p.Row, p.Text)
	}
	return fmt.Sprintf("row %d, column %s: %s", p.Row, p.Column, p.Text)
}

// Report of an import.
type Report struct {
	Kind     faultline.RegisterKind      `json:"kind"`
	File     string                      `json:"file"`
	DryRun   bool                        `json:"dry_run" about:"nothing was changed"`
	Rows     int                         `json:"rows" about:"without the heading"`
	Added    int                         `json:"added"`
	Changed  int                         `json:"changed"`
	Same     int                         `json:"same" about:"rows that say what is known"`
	Problems []Problem                   `json:"problems" about:"where there is one, nothing was changed"`
	Outcomes []faultline.RegisterOutcome `json:"outcomes" about:"of rows that add or change"`
}

// Import reads a CSV or XLSX file and carries it out, unless a row has a problem or dry is set. Only faults of the store
// are errors; what is wrong with the file is in the report.
func Import(ctx context.Context, s Store, kind faultline.RegisterKind, file string, data []byte, by string, at time.Time, dry bool) (Report, error) {
	r := Report{Kind: kind, File: file, DryRun: dry, Problems: []Problem{}, Outcomes: []faultline.RegisterOutcome{}}
	known, err := s.Register(ctx)
	if err != nil {
		return r, err
	}
	rows, err := sheet.Read(data)
	if err != nil {
		r.Problems = append(r.Problems, Problem{1, "", err.Error()})
		return r, nil
	}
	changes := read(kind, rows, &known, &r)
	if len(r.Problems) > 0 {
		return r, nil
	}
	outcomes, err := s.ChangeRegister(ctx, changes, by, file, at, dry)
	if err != nil {
		return r, err
	}
	for _, o := range outcomes {
		switch o.Outcome {
		case faultline.RegisterAdded:
			r.Added++
		case faultline.RegisterChanged:
			r.Changed++
		default:
			r.Same++
			continue
		}
		r.Outcomes = append(r.Outcomes, o)
	}
	return r, nil
}

// Columns of a kind's table, those that every row must fill first.
func Columns(kind faultline.RegisterKind) (needed, others []string) {
	return tables[kind].needed, tables[kind].others
}

// table is how a kind is read.
type table struct {
	needed, others []string
	row            func(*row) faultline.RegisterChange
}

// row being read.
type row struct {
	line    int
	cells   map[string]string
	known   *index
	problem func(column, format string, args ...any)
}

// index of what is known.
type index struct {
	*faultline.Register
	customers map[string]bool
	sites     map[string]*faultline.Site
	positions map[[2]string]*faultline.Position
	serials   map[string][]*faultline.Position
	contracts map[string]*faultline.Contract
	calendars map[string]bool
}

func indexed(r *faultline.Register) *index {
	x := &index{r, map[string]bool{}, map[string]*faultline.Site{}, map[[2]string]*faultline.Position{}, map[string][]*faultline.Position{}, map[string]*faultline.Contract{}, map[string]bool{}}
	for i := range r.Customers {
		x.customers[r.Customers[i].Name] = true
	}
	for i := range r.Sites {
		x.sites[r.Sites[i].ID], x.customers[r.Sites[i].Customer] = &r.Sites[i], true
	}
	for i := range r.Positions {
		p := &r.Positions[i]
		x.positions[[2]string{p.Site, p.ID}], x.customers[p.Asset.Customer] = p, true
		x.serials[p.Asset.Serial] = append(x.serials[p.Asset.Serial], p)
	}
	for i := range r.Contracts {
		x.contracts[r.Contracts[i].ID], x.customers[r.Contracts[i].Customer] = &r.Contracts[i], true
	}
	for i := range r.Calendars {
		x.calendars[r.Calendars[i].ID] = true
	}
	delete(x.customers, "")
	return x
}

// read the rows under their heading.
func read(kind faultline.RegisterKind, rows []sheet.Row, known *faultline.Register, r *Report) []faultline.RegisterChange {
	line := 1
	problem := func(column, format string, args ...any) {
		if len(r.Problems) < maxProblems {
			r.Problems = append(r.Problems, Problem{line, column, fmt.Sprintf(format, args...)})
		}
	}
	t, ok := tables[kind]
	if !ok {
		problem("", "there is no table %q: use %s", kind, words(faultline.RegisterKinds))
		return nil
	}
	if len(rows) < 2 {
		problem("", "the file has no rows: the first names the columns, each other one is of one of the %s", kind)
		return nil
	}
	heading := t.heading(rows[0], problem)
	if len(r.Problems) > 0 {
		return nil
	}
	x, seen := indexed(known), map[[2]string]int{}
	var out []faultline.RegisterChange
	for _, cells := range rows[1:] {
		r.Rows++
		line = cells.Line
		row := &row{line: line, cells: map[string]string{}, known: x, problem: problem}
		for i, cell := range cells.Cells {
			if i < len(heading) {
				row.cells[heading[i]] = cell
			} else if cell != "" {
				problem("", "it has more cells than the heading: %q stands under no name", cell)
			}
		}
		for _, name := range t.needed {
			if row.cells[name] == "" {
				problem(name, "is empty: every row needs it")
			}
		}
		change := t.row(row)
		change.Kind, change.Line = kind, line
		key := [2]string{change.Site, change.ID}
		if before := seen[key]; before > 0 && change.ID != "" {
			problem("", "%s stands in row %d already: keep one of the two", strings.TrimPrefix(key[0]+"/"+key[1], "/"), before)
		}
		seen[key] = line
		out = append(out, change)
	}
	return out
}

// heading names the columns. Case does not matter, and a space is as good as _.
func (t *table) heading(first sheet.Row, problem func(string, string, ...any)) []string {
	all := append(slices.Clone(t.needed), t.others...)
	names := make([]string, len(first.Cells))
	for i, cell := range first.Cells {
		names[i] = strings.ReplaceAll(strings.ToLower(cell), " ", "_")
		if cell == "" {
			continue
		}
		if !slices.Contains(all, names[i]) {
			problem(cell, "is no column of this table: remove it, or use one of %s", strings.Join(all, ", "))
		} else if slices.Contains(names[:i], names[i]) {
			problem(cell, "stands twice in the heading: remove one")
		}
	}
	for _, name := range t.needed {
		if !slices.Contains(names, name) {
			problem(name, "is missing in the heading")
		}
	}
	return names
}

func words[T ~string](all []T) string {
	out := make([]string, len(all))
	for i, v := range all {
		out[i] = string(v)
	}
	if n := len(out) - 1; n > 0 {
		return strings.Join(out[:n], ", ") + " or " + out[n]
	}
	return strings.Join(out, "")
}

// fields are what a row sets: an empty cell leaves what is known, "-" empties it.
type fields map[string]any

func (f fields) json() json.RawMessage {
	b, err := json.Marshal(f)
	if err != nil { // texts, numbers and times
		return json.RawMessage("{}")
	}
	return b
}

const empties = "-"

// take gives a filled cell; a cell that empties its field is dealt with.
func (r *row) take(f fields, column, field string) (string, bool) {
	switch cell := r.cells[column]; cell {
	case "":
		return "", false
	case empties:
		f[field] = nil
		return "", false
	default:
		return cell, true
	}
}

// maxText of a cell.
const maxText = 500

func (r *row) text(f fields, column, field string) {
	if cell, ok := r.take(f, column, field); ok {
		if len(cell) > maxText {
			r.problem(column, "has %d bytes: at most %d are kept", len(cell), maxText)
		}
		f[field] = cell
	}
}

func (r *row) choice(f fields, column, field string, allowed ...string) {
	if cell, ok := r.take(f, column, field); ok {
		if !slices.Contains(allowed, cell) {
			r.problem(column, "%q: use %s", cell, words(allowed))
		}
		f[field] = cell
	}
}

func (r *row) date(f fields, column, field string) {
	if cell, ok := r.take(f, column, field); ok {
		at, err := sheet.Date(cell)
		if err != nil {
			r.problem(column, "%v", err)
		} else if at.Year() < 1950 || at.Year() > 2150 {
			r.problem(column, "%q: no equipment is of the year %d: mend the date", cell, at.Year())
		}
		f[field] = at
	}
}

// customer must be known: a misspelt one would have no contract.
func (r *row) customer(f fields) {
	r.text(f, "customer", "customer")
	if name, ok := f["customer"].(string); ok && !r.known.customers[name] {
		r.problem("customer", "there is no customer %q: mend the spelling, or import customers first", name)
	}
}

func (r *row) name(what, column string) string {
	id := r.cells[column]
	if err := faultline.CheckName(what, id); id != "" && err != nil {
		r.problem(column, "%s", strings.TrimPrefix(err.Error(), faultline.ErrInvalid.Error()+": "))
	}
	return id
}
