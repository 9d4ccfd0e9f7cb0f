package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/rules/remaining"
)

// trainCommand makes a model of remaining life from units that ran until they failed.
func trainCommand(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	in := fs.String("in", "", "`FILE` or directory of them: CSV with a header (unit, then time, cycle or step if there is one, then signals),\nor C-MAPSS text; each unit's rows end where it failed")
	to := fs.String("out", "", "`FILE` for the model, as JSON")
	horizon := fs.Int("horizon", 0, "learn from moments with up to so many `STEPS` left; default 150")
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	if *in == "" || *to == "" {
		fmt.Fprintln(fs.Output(), "faultline train: name -in and -out")
		return errUsage
	}
	files, err := dataFiles(*in)
	if err != nil {
		return err
	}
	var signals []string
	var runs []remaining.Run
	for _, path := range files {
		r, closer, err := openData(path)
		if err != nil {
			return err
		}
		names, list, err := readRuns(r)
		_ = closer.Close() // which was only read
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if signals != nil && !slices.Equal(signals, names) {
			return fmt.Errorf("%w: %s has signals %s, the files before it have %s", faultline.ErrInvalid, path, strings.Join(names, ","), strings.Join(signals, ","))
		}
		signals, runs = names, append(runs, list...)
	}
	fmt.Fprintf(out, "%d runs to failure of %d signals in %d files\n", len(runs), len(signals), len(files))
	began, said := time.Now(), 0
	t := remaining.Training{Horizon: *horizon, Progress: func(done, total int) {
		if tenth := 10 * done / total; tenth > said {
			said = tenth
			fmt.Fprintf(out, "  … %d of %d trees in %s\n", done, total, time.Since(began).Round(time.Second))
		}
	}}
	m, err := t.Train(ctx, signals, runs)
	if err != nil {
		return err
	}
	f, err := os.Create(*to)
	if err != nil {
		return fmt.Errorf("write the model: %w", err)
	}
	if err := errors.Join(m.Write(f), f.Close()); err != nil {
		return err
	}
	v := m.Validation
	fmt.Fprintf(out, "wrote %s. On units left out, %d answers in %d folds: RMSE %.1f steps, mean error %.1f, %.0f %% late, %.0f %% of the truths between p10 and p90, mean penalty %.2f\n",
		*to, v.Answers, v.Folds, v.RMSE, v.MAE, 100*v.Late, 100*v.Within, v.Score)
	return nil
}

func readModel(path string) (*remaining.Model, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the model: %w", err)
	}
	defer f.Close()
	m, err := remaining.Read(bufio.NewReader(f))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// detectRemaining says what is left of each unit's life after its last row.
func detectRemaining(in io.Reader, out io.Writer, m *remaining.Model) (c boardCount, err error) {
	signals, runs, err := readRuns(in)
	if err != nil {
		return c, err
	}
	if !slices.Equal(signals, m.Signals) {
		return c, fmt.Errorf("%w: the data has signals %s, the model wants %s", faultline.ErrInvalid, strings.Join(signals, ","), strings.Join(m.Signals, ","))
	}
	w := bufio.NewWriter(out)
	fmt.Fprintln(w, "unit,rul,p10,p90")
	for _, u := range runs {
		e, err := m.Estimate(u.Rows)
		if err != nil {
			return c, fmt.Errorf("unit %s: %w", u.Unit, err)
		}
		c.rows, c.units = c.rows+len(u.Rows), c.units+1
		fmt.Fprintf(w, "%s,%.1f,%.1f,%.1f\n", u.Unit, e.P50, e.P10, e.P90)
	}
	return c, w.Flush()
}

// cmapssColumns of the text of C-MAPSS: unit, cycle, three settings, 21 sensors.
const cmapssColumns = 26

// readRuns reads units, whose rows follow each other: CSV with a header, or the text of C-MAPSS, which has none
// and blanks between its columns.
func readRuns(in io.Reader) (signals []string, runs []remaining.Run, err error) {
	r := bufio.NewReader(in)
	head, err := r.Peek(1)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: no data: %w", faultline.ErrInvalid, err)
	}
	add := func(line int, unit string, values []string) error {
		row := make([]float64, len(values))
		for k, v := range values {
			if row[k], err = strconv.ParseFloat(strings.TrimSpace(v), 64); err != nil {
				return fmt.Errorf("%w: line %d: %s is %q, which is not a number", faultline.ErrInvalid, line, signals[k], v)
			}
		}
		if n := len(runs); n == 0 || runs[n-1].Unit != unit {
			if slices.ContainsFunc(runs, func(u remaining.Run) bool { return u.Unit == unit }) {
				return fmt.Errorf("%w: line %d: unit %s comes again after others; rows of a unit must follow each other", faultline.ErrInvalid, line, unit)
			}
			runs = append(runs, remaining.Run{Unit: unit})
		}
		u := &runs[len(runs)-1]
		u.Rows = append(u.Rows, row)
		return nil
	}
	if head[0] >= '0' && head[0] <= '9' || head[0] == ' ' {
		for _, name := range []string{"setting", "sensor"} {
			for i := 1; i <= 3 || name == "sensor" && i <= cmapssColumns-5; i++ {
				signals = append(signals, name+"_"+strconv.Itoa(i))
			}
		}
		s := bufio.NewScanner(r)
		for line := 1; s.Scan(); line++ {
			f := strings.Fields(s.Text())
			if len(f) == 0 {
				continue
			}
			if len(f) != cmapssColumns {
				return nil, nil, fmt.Errorf("%w: line %d has %d columns, C-MAPSS has %d; a CSV begins with a header", faultline.ErrInvalid, line, len(f), cmapssColumns)
			}
			if err := add(line, f[0], f[2:]); err != nil {
				return nil, nil, err
			}
		}
		if err := s.Err(); err != nil {
			return nil, nil, fmt.Errorf("read: %w", err)
		}
		return signals, runs, nil
	}
	c := csv.NewReader(r)
	header, err := c.Read()
	if err != nil {
		return nil, nil, fmt.Errorf("%w: read the header: %w", faultline.ErrInvalid, err)
	}
	first := 1
	if len(header) > 1 && slices.Contains([]string{"time", "cycle", "step"}, header[1]) {
		first = 2
	}
	if header[0] != "unit" || len(header) <= first {
		return nil, nil, fmt.Errorf("%w: the header is %q: unit, then time, cycle or step if there is one, then signals are wanted", faultline.ErrInvalid, strings.Join(header, ","))
	}
	signals = header[first:]
	for {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			return signals, runs, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%w: read: %w", faultline.ErrInvalid, err)
		}
		line, _ := c.FieldPos(0)
		if err := add(line, row[0], row[first:]); err != nil {
			return nil, nil, err
		}
	}
}
