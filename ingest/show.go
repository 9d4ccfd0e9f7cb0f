package ingest

import (
	"context"
	"strconv"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/tsdb"
)

const (
	// ledgerMeasurement holds the ledger's rows over time, with the tags epoch, gateway and site.
	ledgerMeasurement = tsdb.Reserved + "ledger"
	showEvery         = 10 * time.Second
	showTimeout       = 2 * time.Second
)

// show writes the rows that have changed to InfluxDB, and to the metrics, each ten seconds. It shows
// what is saved; a failure is tried again the next time and keeps nothing waiting.
func (f *flusher) show(ctx context.Context, last bool) {
	now := time.Now()
	if !last && now.Sub(f.shownAt) < showEvery {
		return
	}
	f.shownAt = now
	var buf []byte
	for _, e := range f.entries {
		if e.unshown {
			buf = appendRow(buf, &e.row, now)
		}
	}
	f.p.metrics.ledger(f.rows())
	if len(buf) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, showTimeout)
	defer cancel()
	if err := f.p.cfg.Influx.Write(ctx, buf[:len(buf)-1]); err != nil {
		f.p.log.Debug("ledger not shown in InfluxDB, trying again", "error", err)
		return
	}
	for _, e := range f.entries {
		e.unshown = false
	}
}

// forget takes the session's gateways out of the metrics: another owner shows them.
func (f *flusher) forget() { f.p.metrics.forget(f.rows()) }

func (f *flusher) rows() []*faultline.LedgerRow {
	rows := make([]*faultline.LedgerRow, 0, len(f.entries))
	for _, e := range f.entries {
		rows = append(rows, &e.row)
	}
	return rows
}

// counts of a row by the names that InfluxDB and the metrics use.
func counts(r *faultline.LedgerRow) [8]struct {
	name string
	n    uint64
} {
	return [8]struct {
		name string
		n    uint64
	}{
		{"delivered", r.Delivered}, {"late", r.Late}, {"duplicate", r.Duplicate}, {"possibly_duplicate", r.Possibly},
		{"missing", r.Missing}, {"dropped", r.Dropped}, {"expired", r.Expired}, {"dead", r.Dead},
	}
}

// appendRow appends one line with its newline. Gateway, epoch and site are names: nothing to escape.
func appendRow(b []byte, r *faultline.LedgerRow, at time.Time) []byte {
	b = append(b, ledgerMeasurement+",epoch="+r.Epoch+",gateway="+r.Gateway+",site="+r.Site+" first="...)
	b = append(strconv.AppendUint(b, clamp(r.First), 10), "i,last="...)
	b = append(strconv.AppendUint(b, clamp(r.Last), 10), 'i')
	for _, c := range counts(r) {
		b = append(append(append(b, ','), c.name...), '=')
		b = append(strconv.AppendUint(b, clamp(c.n), 10), 'i')
	}
	b = append(b, ' ')
	return append(strconv.AppendInt(b, at.UnixNano(), 10), '\n')
}

// clamp keeps a count within InfluxDB's signed integers.
func clamp(n uint64) uint64 { return min(n, 1<<63-1) }
