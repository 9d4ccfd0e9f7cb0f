package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/rules"
	"github.com/faultline-iot/faultline/rules/kind"
)

// detectSKAB answers a file of the Skoltech Anomaly Benchmark: for each row after those that are learnt from
// whether a fault stands and whether something changed. The columns with the labels are not read.
func detectSKAB(in io.Reader, out io.Writer, rule *rules.Rule) (c boardCount, err error) {
	r, header, err := boardReader(in, ';')
	if err != nil {
		return c, err
	}
	if len(header) < 2 || header[0] != "datetime" {
		return c, fmt.Errorf("the header is %q: datetime;signal;… is wanted", strings.Join(header, ";"))
	}
	var names []string
	var columns []int
	for i, h := range header[1:] {
		if h != "anomaly" && h != "changepoint" {
			names, columns = append(names, "signal_"+strconv.Itoa(i+1)), append(columns, i+1)
		}
	}
	settings := *rule
	settings.Points = names
	made, err := boardKind(&settings, names)
	if err != nil {
		return c, err
	}
	k, ok := made.(kind.Framed)
	if !ok {
		return c, fmt.Errorf("a %s rule does not watch several signals", rule.Kind)
	}
	anomaly := 0 // stays in a second row of the same time
	skip := int(rule.Learn / time.Second)
	w := bufio.NewWriter(out)
	fmt.Fprintln(w, "timestamp,anomaly,changepoint")
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return c, w.Flush()
		}
		if err != nil {
			return c, fmt.Errorf("read: %w", err)
		}
		c.rows++
		line, _ := r.FieldPos(0)
		at, err := boardTime(row[0])
		if err != nil {
			return c, fmt.Errorf("line %d: %w", line, err)
		}
		for i, col := range columns {
			s := faultline.Sample{Point: names[i], Quality: faultline.BadNotAvailable}
			if v, err := strconv.ParseFloat(strings.TrimSpace(row[col]), 64); err == nil {
				s.Value, s.Quality = faultline.Float(v), faultline.Good
			}
			k.Observe(at, &s)
		}
		v := k.EndFrame(at)
		change := 0
		switch v.Judgement {
		case kind.Bad:
			anomaly = 1
		case kind.Fine:
			anomaly = 0
		}
		if v.Raised() {
			c.tickets++
		}
		if ch, ok := kind.AsChanger(made); ok && ch.ChangePoint() == at.UnixNano() {
			change = 1
		}
		if c.rows > skip {
			fmt.Fprintf(w, "%s,%d,%d\n", row[0], anomaly, change)
		}
	}
}
