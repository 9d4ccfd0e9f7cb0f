package equipment

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Recording is values that a device tells again: rows of a table, one after the other. After the last one it
// goes on telling that.
type Recording struct {
	Points   []string    // names of the columns
	Rows     [][]float64 // NaN: not known, the device goes on telling the value before it
	Every    time.Duration
	Protocol string // ProtocolModbus or ProtocolMQTT
}

// mostRecorded columns fit a Modbus table with two registers each.
const mostRecorded = 1000

var pointForm = regexp.MustCompile(`[^a-z0-9_]+`)

// ParseRecording reads CSV with a header, separated by commas or semicolons. Columns of times, and those
// that hold no numbers, are left out; names are made into names of points. name stands in errors.
func ParseRecording(name string, data []byte) (*Recording, error) {
	first, _, _ := bytes.Cut(data, []byte("\n"))
	in := csv.NewReader(bytes.NewReader(data))
	if bytes.Count(first, []byte(";")) > bytes.Count(first, []byte(",")) {
		in.Comma = ';'
	}
	header, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("%s: read the header: %w", name, err)
	}
	table := make([][]float64, 0, 1024)
	known := make([]bool, len(header))
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		values := make([]float64, len(row))
		for i, cell := range row {
			v, err := strconv.ParseFloat(strings.TrimSpace(cell), 64)
			if values[i] = v; err != nil || math.IsInf(v, 0) || math.Abs(v) > math.MaxFloat32 {
				values[i] = math.NaN()
			}
			known[i] = known[i] || !math.IsNaN(values[i])
		}
		table = append(table, values)
	}
	r := &Recording{Every: time.Second, Protocol: ProtocolModbus}
	var columns []int
	for i, title := range header {
		point := strings.Trim(pointForm.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "_"), "_")
		switch point {
		case "time", "timestamp", "datetime", "date":
			continue
		case "", "tick", "row", "device", "time_ms":
			point = fmt.Sprintf("column_%d", i+1)
		}
		if point[0] >= '0' && point[0] <= '9' {
			point = "p" + point
		}
		if !known[i] {
			continue
		}
		if slices.Contains(r.Points, point) {
			return nil, fmt.Errorf("%s: two columns make the point %s", name, point)
		}
		r.Points, columns = append(r.Points, point), append(columns, i)
	}
	if len(columns) == 0 || len(columns) > mostRecorded {
		return nil, fmt.Errorf("%s: %d columns hold numbers, under a header: use 1 to %d", name, len(columns), mostRecorded)
	}
	for _, values := range table {
		row := make([]float64, len(columns))
		for k, i := range columns {
			row[k] = values[i]
		}
		r.Rows = append(r.Rows, row)
	}
	return r, nil
}

// kind is a kind of equipment of its own: a float32 in two input registers for each column, in order, then the
// number of the row and the tick; or a field of a payload.
func (r *Recording) kind() *kind {
	k := &kind{name: "replay", title: "recorded values", model: "RECORDING", protocol: r.Protocol, order: ABCD, openInt16: 0x7FFF, openJSON: "null",
		timeField: "time_ms", timeMillis: true, countField: "count", nameField: "device"}
	add := func(p Point) {
		p.Table, p.Address = Input, uint16(2*len(k.points))
		if r.Protocol == ProtocolMQTT {
			p.Table, p.Address, p.Path = JSON, 0, p.Name
		}
		k.points = append(k.points, p)
	}
	for _, name := range r.Points {
		add(Point{Name: name, Type: Float32, Low: -math.MaxFloat32, High: math.MaxFloat32, Doc: "as recorded"})
	}
	add(Point{Name: "row", Type: Uint32, Counter: true, Doc: "number of the row, from 1"})
	add(Point{Name: "tick", Type: Uint32, Counter: true, Doc: "internal steps since power-up: ground truth for lost samples"})
	k.start = func(float64, *noise) model { return &replay{of: r, values: make([]float64, len(r.Points)), row: -1} }
	return k
}

// check reports what is wrong with the recording.
func (r *Recording) check() error {
	switch {
	case r.Protocol != ProtocolModbus && r.Protocol != ProtocolMQTT:
		return fmt.Errorf("replay: protocol %q: use %s or %s", r.Protocol, ProtocolModbus, ProtocolMQTT)
	case len(r.Points) == 0 || len(r.Points) > mostRecorded || len(r.Rows) == 0:
		return fmt.Errorf("replay: %d points and %d rows: there must be some, and at most %d points", len(r.Points), len(r.Rows), mostRecorded)
	case r.Every <= 0:
		return fmt.Errorf("replay: a row each %v: must be positive", r.Every)
	}
	for i, row := range r.Rows {
		if len(row) != len(r.Points) {
			return fmt.Errorf("replay: row %d has %d values for %d points", i+1, len(row), len(r.Points))
		}
	}
	return nil
}

// replay is the model of a recording.
type replay struct {
	of     *Recording
	passed float64 // seconds
	row    int     // that is told; -1: none yet
	values []float64
}

func (p *replay) step(c *conditions) {
	for next := min(int(p.passed/p.of.Every.Seconds()), len(p.of.Rows)-1); p.row < next; {
		p.row++
		for i, v := range p.of.Rows[p.row] {
			if !math.IsNaN(v) {
				p.values[i] = v
			}
		}
	}
	p.passed += c.dt
}

func (p *replay) read(v []float64) {
	copy(v, p.values)
	v[len(p.values)] = float64(p.row + 1)
}

func (p *replay) write(int, float64) {}
func (p *replay) totals() []*float64 { return nil }
