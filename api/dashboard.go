package api

import (
	"net/url"
	"strconv"
	"time"

	"github.com/faultline-iot/faultline/internal/grafana"
)

// aroundTicket is how much of the time before and after a ticket's beginning its dashboard shows.
const aroundTicket = 6 * time.Hour

// dashboard is where Grafana shows an asset of the kind, around a time if it is given; "" without a Grafana or
// where the kind is not known.
func (s *Server) dashboard(kind, site, position string, around time.Time) string {
	if s.grafana == "" || kind == "" {
		return ""
	}
	q := url.Values{"var-site": {site}, "var-position": {position}}
	if !around.IsZero() {
		q.Set("from", strconv.FormatInt(around.Add(-aroundTicket).UnixMilli(), 10))
		q.Set("to", strconv.FormatInt(around.Add(aroundTicket).UnixMilli(), 10))
	}
	return s.grafana + "/d/" + grafana.UID(kind) + "?" + q.Encode()
}

// kindAt is the kind of asset at a position; "" if there is none.
func (b *contents) kindAt(site, position string) string {
	for i := range b.positions {
		if p := &b.positions[i]; p.Site == site && p.ID == position {
			return p.Kind
		}
	}
	return ""
}
