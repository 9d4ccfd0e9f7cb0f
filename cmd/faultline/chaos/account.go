package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Samples is the account of samples; see docs/chaos.md for what each word means.
type Samples struct {
	Sent           int `json:"sent"`
	Delivered      int `json:"delivered"`
	DroppedByLimit int `json:"dropped_by_limit"`
	Missing        int `json:"missing"`
	Duplicate      int `json:"duplicate"`
	Wrong          int `json:"wrong"` // values that no device ever had
	// UntakenReadings were served to a gateway that failed before it had committed them: nobody took them.
	UntakenReadings int `json:"untaken_readings"`
	Readings        int `json:"readings"` // served
	Uncertain       int `json:"uncertain"`
}

func (s *Samples) add(o Samples) {
	s.Sent += o.Sent
	s.Delivered += o.Delivered
	s.DroppedByLimit += o.DroppedByLimit
	s.Missing += o.Missing
	s.Duplicate += o.Duplicate
	s.Wrong += o.Wrong
	s.UntakenReadings += o.UntakenReadings
	s.Readings += o.Readings
	s.Uncertain += o.Uncertain
}

// row is one point of InfluxDB: its time in ns and its fields.
type row struct {
	at     int64
	fields map[string]any
}

// influx asks InfluxDB itself, past the product.
type influx struct{ url, token string }

const pageRows = 10_000

// rows gives everything of one position in a measurement, oldest first.
func (i influx) rows(ctx context.Context, measurement, site, position string, each func(row)) error {
	for after := int64(-1 << 62); ; {
		q := fmt.Sprintf(`SELECT * FROM %q WHERE "site" = '%s' AND "position" = '%s' AND time > %d ORDER BY time LIMIT %d`, measurement, site, position, after, pageRows)
		columns, values, err := i.query(ctx, q)
		if err != nil {
			return fmt.Errorf("read %s of %s: %w", measurement, position, err)
		}
		for _, v := range values {
			r := row{fields: make(map[string]any, len(columns))}
			for k, c := range columns {
				switch x := v[k].(type) {
				case nil:
				case json.Number:
					if c == "time" {
						r.at, _ = x.Int64()
						continue
					}
					r.fields[c] = x
				default:
					r.fields[c] = x
				}
			}
			after = r.at
			each(r)
		}
		if len(values) < pageRows {
			return nil
		}
	}
}

func (i influx) query(ctx context.Context, q string) ([]string, [][]any, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, i.url+"/query?"+url.Values{"db": {database}, "epoch": {"ns"}, "q": {q}}.Encode(), nil)
	if err != nil {
		return nil, nil, err
	}
	if i.token != "" {
		req.Header.Set("Authorization", "Token "+i.token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(res.Body, 300))
		return nil, nil, fmt.Errorf("InfluxDB answers %s: %s", res.Status, b)
	}
	var a struct {
		Results []struct {
			Error  string
			Series []struct {
				Columns []string
				Values  [][]any
			}
		}
	}
	d := json.NewDecoder(res.Body)
	d.UseNumber()
	if err := d.Decode(&a); err != nil {
		return nil, nil, err
	}
	switch {
	case len(a.Results) != 1:
		return nil, nil, fmt.Errorf("%d results", len(a.Results))
	case a.Results[0].Error != "":
		return nil, nil, fmt.Errorf("InfluxDB: %s", a.Results[0].Error)
	case len(a.Results[0].Series) == 0:
		return nil, nil, nil
	}
	s := a.Results[0].Series[0]
	return s.Columns, s.Values, nil
}

// account compares what a device knows with what InfluxDB has.
type account struct {
	Samples
	seen     []uint8 // by number - 1
	rows     int     // points in InfluxDB, readings or not
	missing  []uint32
	lost     []string // the same, in words
	problems []string
}

func (a *account) problem(format string, args ...any) {
	if len(a.problems) < 5 {
		a.problems = append(a.problems, fmt.Sprintf(format, args...))
	}
}

// accountFor reads and judges every sample of a device.
func accountFor(ctx context.Context, db influx, d *device) (*account, error) {
	d.mu.Lock()
	readings, excursions := slices.Clone(d.readings), slices.Clone(d.excursions)
	d.mu.Unlock()
	a := &account{seen: make([]uint8, len(readings))}
	err := db.rows(ctx, assetKind, d.site, d.position, func(r row) { a.judge(d, r, excursions) })
	if err != nil {
		return nil, err
	}
	a.Readings = len(readings)
	for i, r := range readings {
		switch seen := a.seen[i] > 0; {
		case seen:
			a.Sent += samplesPerReading
		case r.proven:
			a.Sent += samplesPerReading
			a.Missing += samplesPerReading
			a.missing = append(a.missing, uint32(i+1))
			a.lost = append(a.lost, fmt.Sprintf("%s: reading %d, served %s, is not in InfluxDB", d.position, i+1, time.Unix(0, r.at).UTC().Format(time.TimeOnly)))
		default:
			a.UntakenReadings++
		}
	}
	return a, nil
}

// judge puts one point of InfluxDB into the account.
func (a *account) judge(d *device, r row, excursions []excursion) {
	a.rows++
	number, ok := r.fields["n"].(json.Number)
	if !ok { // not a reading: the device did not answer
		for c := range r.fields {
			if c == "level" || c[0] == 'v' && !strings.HasSuffix(c, "__q") {
				a.Wrong++
				a.problem("%s: a value of %s without a reading at %d", d.position, c, r.at)
			}
		}
		return
	}
	n, err := strconv.ParseUint(number.String(), 10, 32)
	if err != nil || n == 0 || n > uint64(len(a.seen)) {
		a.Wrong += samplesPerReading
		a.problem("%s: reading %s was never made", d.position, number)
		return
	}
	if a.seen[n-1]++; a.seen[n-1] > 1 {
		a.Duplicate += samplesPerReading
		a.problem("%s: reading %d is there twice", d.position, n)
		return
	}
	if r.fields["n__q"] != nil {
		a.Uncertain += samplesPerReading
	}
	a.Delivered++
	a.value(d, r, "level", float64(levelAt(d, uint32(n), excursions))/10)
	for i := 1; i <= checked; i++ {
		a.value(d, r, pointName(i), float64(value(uint32(n), i)))
	}
}

func (a *account) value(d *device, r row, point string, want float64) {
	got, ok := r.fields[point].(json.Number)
	if !ok {
		a.Missing++
		a.problem("%s: %s is missing at %d: %v", d.position, point, r.at, r.fields[point+"__q"])
		return
	}
	if f, err := got.Float64(); err != nil || f != want {
		a.Wrong++
		a.problem("%s: %s is %s at %d, was %v", d.position, point, got, r.at, want)
	}
	a.Delivered++
}

func levelAt(d *device, n uint32, excursions []excursion) uint16 {
	for _, e := range excursions {
		if n >= e.from && (e.to == 0 || n <= e.to) {
			return d.top()
		}
	}
	return levelNormal
}
