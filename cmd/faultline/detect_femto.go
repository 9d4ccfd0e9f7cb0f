package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/rules"
	"github.com/faultline-iot/faultline/rules/kind"
)

// femtoStep is the time between rows.
const femtoStep = 10 * time.Second

// femtoUnknown is the answer, in seconds, where the rule says that there is no forecast: the board wants one.
const femtoUnknown = 1500

// detectFEMTO answers one bearing of FEMTO (PHM 2012): the time, in seconds after its last row, until its
// vibration reaches the limit, by the life rule of the board: the early tenth, since late answers cost most.
func detectFEMTO(in io.Reader, out io.Writer, rule *rules.Rule) (c boardCount, err error) {
	r, header, err := boardReader(in, ',')
	if err != nil {
		return c, err
	}
	across, along, name := slices.Index(header, "h_peak"), slices.Index(header, "v_peak"), slices.Index(header, "bearing")
	if across < 0 || along < 0 || name < 0 {
		return c, fmt.Errorf("the header is %q: bearing, h_peak and v_peak are wanted", strings.Join(header, ","))
	}
	k, err := boardKind(rule, []string{"peak"})
	if err != nil {
		return c, err
	}
	life, ok := kind.AsForecaster(k)
	if !ok {
		return c, fmt.Errorf("rule %s does not forecast: it must be a life rule", rule.ID)
	}
	at := time.Unix(0, 0)
	bad, first, unit := false, 0, ""
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return c, fmt.Errorf("read: %w", err)
		}
		c.rows++
		unit = row[name]
		at = at.Add(femtoStep)
		s := faultline.Sample{Point: "peak", Quality: faultline.BadNotAvailable}
		h, errH := strconv.ParseFloat(strings.TrimSpace(row[across]), 64)
		v, errV := strconv.ParseFloat(strings.TrimSpace(row[along]), 64)
		if errH == nil && errV == nil {
			s.Value, s.Quality = faultline.Float(max(h, v)), faultline.Good
		}
		switch k.Observe(at, &s).Judgement {
		case kind.Bad:
			if !bad {
				if c.tickets++; first == 0 {
					first = c.rows
				}
			}
			bad = true
		case kind.Fine:
			bad = false
		}
	}
	if first > 0 {
		c.lead = c.rows - first
	}
	answer := float64(femtoUnknown)
	if f := life.Forecast(); f.None == "" {
		answer = float64(f.P10) * 3600
	}
	_, err = fmt.Fprintf(out, "unit,rul\n%s,%s\n", unit, strconv.FormatFloat(answer, 'f', 0, 64))
	return c, err
}
