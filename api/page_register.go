package api

import (
	"io"
	"net/http"
	"strings"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api/console"
	"github.com/faultline-iot/faultline/internal/sheet"
	"github.com/faultline-iot/faultline/internal/sheet/register"
)

func (s *Server) registerPages() []route {
	return []route{
		{method: http.MethodGet, path: "/register", role: agent, whole: true, media: mediaHTML, handle: s.registerPage},
		{method: http.MethodPost, path: "/register/:table", role: agent, whole: true, upload: true, media: mediaHTML, handle: s.importForm},
	}
}

func (s *Server) registerPage(c *call) (any, error) { return s.showRegister(c, nil) }

// showRegister shows what people have set, and the report of an import if there is one.
func (s *Server) showRegister(c *call, r *register.Report) (any, error) {
	known, err := c.store.Register(c.Request.Context())
	if err != nil {
		return nil, err
	}
	entries, err := c.store.RegisterEntries(c.Request.Context())
	if err != nil {
		return nil, err
	}
	m := console.Maker{Now: c.now, Location: s.location}
	v := console.Register{}
	for _, k := range faultline.RegisterKinds {
		needed, others := register.Columns(k)
		v.Tables = append(v.Tables, console.RegisterTable{ID: string(k), Name: word(string(k)), Needed: strings.Join(needed, ", "), Others: strings.Join(others, ", ")})
	}
	for _, k := range known.Customers {
		v.Customers = append(v.Customers, console.CustomerRow{Name: k.Name, Contact: k.Contact, Mail: k.Mail, Phone: k.Phone, Address: k.Address, Language: word(k.Language)})
	}
	for _, e := range entries {
		id := strings.TrimPrefix(e.Site+"/"+e.ID, "/")
		row := console.RegisterRow{Kind: word(string(e.Kind)), ID: id, Fields: clip(string(e.Fields)), Seed: clip(string(e.Seed)), By: e.By, At: m.At(e.At), Source: e.Source}
		if e.Kind == faultline.RegisterAssets {
			row.Href = assetHref(e.Site, e.ID)
		}
		v.Rows = append(v.Rows, row)
	}
	shell, code := s.shell(c, "contracts", "Register", "", 0), http.StatusOK
	shell.Href = "/register"
	if r != nil {
		v.Report = importView(r)
		if v.Report.Bad {
			code = http.StatusUnprocessableEntity
		}
	}
	return framed{shell: shell, view: v, code: code}, nil
}

func importView(r *register.Report) *console.ImportReport {
	v := &console.ImportReport{Kind: word(string(r.Kind)), File: r.File, Bad: len(r.Problems) > 0, DryRun: r.DryRun, Rows: r.Rows, Added: r.Added, Changed: r.Changed, Same: r.Same}
	for _, p := range r.Problems {
		v.Problems = append(v.Problems, console.ImportProblem{Row: p.Row, Column: p.Column, Text: p.Text})
	}
	for _, o := range r.Outcomes {
		if len(v.Outcomes) == console.MaxOutcomes {
			v.More = len(r.Outcomes) - console.MaxOutcomes
			break
		}
		row := console.ImportOutcome{Row: o.Row, ID: strings.TrimPrefix(o.Site+"/"+o.ID, "/"), Outcome: word(o.Outcome)}
		for _, f := range o.Fields {
			row.Fields = append(row.Fields, console.ImportField{Name: f.Name, Before: clip(f.Before), After: clip(f.After)})
		}
		v.Outcomes = append(v.Outcomes, row)
	}
	return v
}

func (s *Server) importForm(c *call) (any, error) {
	data, name, err := formFile(c, "file")
	var r register.Report
	if err == nil {
		r, err = s.importFile(c, name, data, c.PostForm("do") != "import")
	}
	if err != nil {
		return s.answerForm(c, "/register", console.Notice{}, err)
	}
	return s.showRegister(c, &r)
}

// formFile reads a file of a form.
func formFile(c *call, field string) (data []byte, name string, err error) {
	f, head, err := c.Request.FormFile(field)
	if err != nil {
		return nil, "", invalid("choose a file first")
	}
	defer func() { _ = f.Close() }()
	if data, err = io.ReadAll(io.LimitReader(f, sheet.MaxBytes+1)); err != nil {
		return nil, "", err
	}
	return data, head.Filename, nil
}
