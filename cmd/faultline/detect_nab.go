package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/rules"
)

// detectNAB answers a file of the Numenta Anomaly Benchmark: the score stands on the rows that would
// open a ticket, and is 0 on all others.
func detectNAB(in io.Reader, out io.Writer, rule *rules.Rule) (c boardCount, err error) {
	r, header, err := boardReader(in, ',')
	if err != nil {
		return c, err
	}
	when, what := slices.Index(header, "timestamp"), slices.Index(header, "value")
	if when < 0 || what < 0 {
		return c, fmt.Errorf("the header is %q: timestamp and value are wanted", strings.Join(header, ","))
	}
	k, err := boardKind(rule, []string{"value"})
	if err != nil {
		return c, err
	}
	w := bufio.NewWriter(out)
	fmt.Fprintln(w, "timestamp,anomaly_score")
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
		at, err := boardTime(row[when])
		if err != nil {
			return c, fmt.Errorf("line %d: %w", line, err)
		}
		s := faultline.Sample{Point: "value", Quality: faultline.BadNotAvailable}
		if v, err := strconv.ParseFloat(strings.TrimSpace(row[what]), 64); err == nil {
			s.Value, s.Quality = faultline.Float(v), faultline.Good
		}
		v := k.Observe(at, &s)
		score := 0.0
		if v.Raised() {
			c.tickets++
			score = v.Strength()
		}
		fmt.Fprintf(w, "%s,%s\n", row[when], strconv.FormatFloat(score, 'g', -1, 64))
	}
}
