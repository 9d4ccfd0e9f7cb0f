package api

import (
	"net/url"
	"strconv"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/grafana"
)

// aroundTicket is how much of the time before and after a ticket's beginning its dashboard shows.
const aroundTicket = 6 * time.Hour

// dashboard is where Grafana shows the asset at a position, around a time if it is given; "" without a Grafana or a
// position.
func (s *Server) dashboard(p *faultline.Position, around time.Time) string {
	if s.grafana == "" || p == nil {
		return ""
	}
	q := url.Values{"var-site": {p.Site}, "var-position": {p.ID}}
	if !around.IsZero() {
		q.Set("from", strconv.FormatInt(around.Add(-aroundTicket).UnixMilli(), 10))
		q.Set("to", strconv.FormatInt(around.Add(aroundTicket).UnixMilli(), 10))
	}
	return s.grafana + "/d/" + grafana.UID(p.Kind) + "?" + q.Encode()
}
