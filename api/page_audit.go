package api

import (
	"github.com/faultline-iot/faultline/internal/store"
)

func (s *Server) listAudit(c *call) (any, error) {
	f := store.AuditFilter{By: c.Query("by"), Outcome: c.Query("outcome"), Text: c.Query("text")}
	var err error
	if f.Limit, f.Offset, err = c.paging(); err != nil {
		return nil, err
	}
	if f.From, err = c.moment("from", f.From); err != nil {
		return nil, err
	}
	if f.Until, err = c.moment("to", f.Until); err != nil {
		return nil, err
	}
	rows, total, err := c.store.AuditEntries(c.Request.Context(), f)
	if err != nil {
		return nil, err
	}
	return cut(rows, total, f.Limit, f.Offset), nil
}
