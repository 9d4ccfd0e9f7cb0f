package api

import (
	"context"
	"io"
	"net/http"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/sheet/register"
)

// What people keep of customers, sites, assets and contracts besides the configuration.

// registerRoutes are about all sites together.
func (s *Server) registerRoutes() []route {
	return []route{
		{method: http.MethodPost, path: base + "/import/:table", tag: tagAssets, role: agent, whole: true, upload: true, response: register.Report{}, handle: s.postImport,
			summary: "Import customers, sites, assets or contracts: the body is a CSV or XLSX file. All rows or none; every problem is told at once",
			params:  []param{{name: "file", about: "its name, for the report"}, {name: "dry_run", about: "true changes nothing and tells what would be done", kind: "boolean"}}},
		{method: http.MethodGet, path: base + "/register", tag: tagAssets, role: agent, whole: true, response: Page[faultline.RegisterEntry]{}, handle: s.listRegister,
			summary: "What people have set of customers, sites, assets and contracts: it wins over the configuration"},
		{method: http.MethodGet, path: base + "/customers", tag: tagAssets, role: agent, whole: true, response: Page[faultline.Customer]{}, handle: s.listCustomers,
			summary: "Customers that were imported"},
	}
}

// importFile is the one way in of a table.
func (s *Server) importFile(c *call, file string, data []byte, dry bool) (register.Report, error) {
	r, err := register.Import(c.Request.Context(), c.store, faultline.RegisterKind(c.Param("table")), short(file), data, c.by, c.now, dry)
	switch {
	case err != nil:
	case len(r.Problems) > 0:
		c.refusal = invalid("%d problems in %s", len(r.Problems), r.File) // the audit hears of it
	case !dry:
		s.book.forget()
	}
	return r, err
}

// postImport answers a file that cannot be taken with its report, too: it is the answer to the question.
func (s *Server) postImport(c *call) (any, error) {
	dry, err := c.boolean("dry_run")
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(c.Request.Body)
	if err != nil {
		return nil, bodyError(err)
	}
	r, err := s.importFile(c, c.Query("file"), data, dry != nil && *dry)
	if err != nil {
		return nil, err
	}
	if len(r.Problems) > 0 {
		return answer{http.StatusUnprocessableEntity, r}, nil
	}
	return r, nil
}

func (s *Server) listRegister(c *call) (any, error) {
	all, err := c.store.RegisterEntries(c.Request.Context())
	if err != nil {
		return nil, err
	}
	return whole(all), nil
}

func (s *Server) listCustomers(c *call) (any, error) {
	r, err := c.store.Register(c.Request.Context())
	if err != nil {
		return nil, err
	}
	return whole(r.Customers), nil
}

// Register is about all sites; only those who see all come here.
func (v *view) Register(ctx context.Context) (faultline.Register, error) { return v.in.Register(ctx) }

// RegisterEntries are about all sites; only those who see all come here.
func (v *view) RegisterEntries(ctx context.Context) ([]faultline.RegisterEntry, error) {
	return v.in.RegisterEntries(ctx)
}

// ChangeRegister is for those who see all sites.
func (v *view) ChangeRegister(ctx context.Context, changes []faultline.RegisterChange, by, source string, at time.Time, dry bool) ([]faultline.RegisterOutcome, error) {
	return v.in.ChangeRegister(ctx, changes, by, source, at, dry)
}
