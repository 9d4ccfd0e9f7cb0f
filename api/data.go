package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
)

func (s *Server) listInspections(c *call) (any, error) {
	open, err := c.boolean("open")
	if err != nil {
		return nil, err
	}
	rows, err := c.store.Inspections(c.Request.Context(), store.InspectionFilter{Site: c.Query("site"), Position: c.Query("position"), Open: open})
	if err != nil {
		return nil, err
	}
	out := make([]Inspection, len(rows))
	for i := range rows {
		out[i] = viewInspection(rows[i], c.now)
	}
	return whole(out), nil
}

func (s *Server) listPlans(c *call) (any, error) {
	rows, err := c.store.Plans(c.Request.Context())
	if err != nil {
		return nil, err
	}
	return whole(rows), nil
}

func (s *Server) listRules(c *call) (any, error) {
	rows, err := c.store.RuleInstances(c.Request.Context(), c.Query("site"), c.Query("position"))
	if err != nil {
		return nil, err
	}
	return whole(rows), nil
}

func (s *Server) listContracts(c *call) (any, error) {
	rows, err := c.store.Contracts(c.Request.Context())
	if err != nil {
		return nil, err
	}
	return whole(rows), nil
}

func (s *Server) gateways(c *call) ([]Gateway, error) {
	ctx, now := c.Request.Context(), c.now
	rows, err := c.store.Gateways(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Gateway, len(rows))
	for i := range rows {
		out[i] = Gateway{rows[i], now.Sub(rows[i].LastSeen) > staleAfter}
	}
	return out, nil
}

// gatewayVersions gives the versions of a gateway's configuration, if its site is in the caller's scope.
func (s *Server) gatewayVersions(c *call) ([]faultline.Revision, error) {
	id := c.Param("gateway")
	gateways, err := c.store.Gateways(c.Request.Context())
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(gateways, func(g faultline.Gateway) bool { return g.ID == id }) {
		return nil, fmt.Errorf("%w: gateway %s", faultline.ErrNotFound, id)
	}
	return c.store.Revisions(c.Request.Context(), faultline.DocumentGateway, id)
}

func (s *Server) listGatewayVersions(c *call) (any, error) {
	out, err := s.gatewayVersions(c)
	if err != nil {
		return nil, err
	}
	return whole(out), nil
}

func (s *Server) getGatewayVersion(c *call) (any, error) {
	list, err := s.gatewayVersions(c)
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		if strconv.Itoa(r.Version) == c.Param("version") {
			return c.store.Revision(c.Request.Context(), faultline.DocumentGateway, r.Name, r.Version)
		}
	}
	return nil, fmt.Errorf("%w: version %q of gateway %s", faultline.ErrNotFound, c.Param("version"), c.Param("gateway"))
}

func (s *Server) listGateways(c *call) (any, error) {
	out, err := s.gateways(c)
	if err != nil {
		return nil, err
	}
	return whole(out), nil
}

func (s *Server) ledger(c *call) (Ledger, error) {
	rows, err := c.store.LedgerRows(c.Request.Context())
	if err != nil {
		return Ledger{}, err
	}
	out := Ledger{Rows: rows}
	if rows == nil {
		out.Rows = []faultline.LedgerRow{}
	}
	for i := range rows {
		r, t := &rows[i], &out.Total
		if r.Last >= r.First && r.Last > 0 {
			t.Frames += r.Last - r.First + 1
		}
		t.Delivered += r.Delivered
		t.Late += r.Late
		t.Duplicate += r.Duplicate
		t.Possibly += r.Possibly
		t.Missing += r.Missing
		t.Dropped += r.Dropped
		t.Expired += r.Expired
		t.Dead += r.Dead
	}
	return out, nil
}

func (s *Server) getLedger(c *call) (any, error) { return s.ledger(c) }

func (s *Server) getOpenAPI(*call) (any, error) { return s.document, nil }

func (s *Server) getHealth(*call) (any, error) {
	return Health{OK: true, Version: s.version}, nil
}

// getReady asks all parts at once; each has two seconds.
func (s *Server) getReady(c *call) (any, error) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), 2*time.Second)
	defer cancel()
	h := Health{OK: true, Parts: map[string]bool{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for name, check := range s.checks {
		wg.Go(func() {
			err := check(ctx)
			mu.Lock()
			defer mu.Unlock()
			h.Parts[name] = err == nil
			h.OK = h.OK && err == nil
			if err != nil {
				s.log.Debug("not ready", "part", name, "error", err)
			}
		})
	}
	wg.Wait()
	if !h.OK {
		return answer{http.StatusServiceUnavailable, h}, nil
	}
	return h, nil
}

func (s *Server) getMetrics(c *call) (any, error) {
	s.scrape.ServeHTTP(c.Writer, c.Request)
	return nil, nil
}
