package main

import (
	"compress/gzip"
	"context"
	"embed"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/rules"
	"github.com/faultline-iot/faultline/rules/kind"
	"github.com/faultline-iot/faultline/rules/remaining"
)

// The rule that each board is run with; one for all of its files.
//
//go:embed boards/*.yaml
var boardRules embed.FS

// board is a public benchmark: files of one form in, answers in the form of its scorer out. It is run with a
// rule, or with a model that faultline train has made.
type board struct {
	name, about string
	rule        func(in io.Reader, out io.Writer, rule *rules.Rule) (boardCount, error)
	model       func(in io.Reader, out io.Writer, m *remaining.Model) (boardCount, error)
}

// boardRun is a board with all that it needs.
type boardRun func(in io.Reader, out io.Writer) (boardCount, error)

// boards lists them; each is one file and one line here.
var boards = []board{
	{name: "nab", about: "one signal a file: timestamp,value", rule: detectNAB},
	{name: "skab", about: "several signals a file: datetime;signal;…", rule: detectSKAB},
	{name: "femto", about: "features of a bearing a file, a row each ten seconds", rule: detectFEMTO},
	{name: "cmapss", about: "units that have not failed yet, many in a file: unit, cycle and signals; with -model", model: detectRemaining},
}

// boardCount is what a file came to.
type boardCount struct {
	rows, tickets int
	units         int // whose remaining life was said
	lead          int // rows from the first ticket to the end; 0: not of interest, or there was none
}

// detectCommand runs a detection board offline, through the same kinds of rule as everything else.
func detectCommand(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	name := fs.String("board", "", "`NAME`: "+boardNames())
	in := fs.String("in", "", "`DIR` of CSV files, in folders or not")
	to := fs.String("out", "", "`DIR` for the answers, one file for each that was read, of the same name")
	file := fs.String("rule", "", "`FILE` with the rule to use instead of the shipped one")
	model := fs.String("model", "", "`FILE` that faultline train has made, for a board of remaining life")
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	i := slices.IndexFunc(boards, func(b board) bool { return b.name == *name })
	if i < 0 || *in == "" || *to == "" {
		fmt.Fprintf(fs.Output(), "faultline detect: name the board (%s), -in and -out\n", boardNames())
		return errUsage
	}
	r, err := boards[i].with(*file, *model)
	if err != nil {
		return err
	}
	return r.all(ctx, *in, *to, out)
}

// with gives the board its rule or its model.
func (b *board) with(rule, model string) (boardRun, error) {
	if b.model == nil {
		r, err := boardRule(b.name, rule)
		return func(in io.Reader, out io.Writer) (boardCount, error) { return b.rule(in, out, r) }, err
	}
	if model == "" {
		return nil, fmt.Errorf("%w: board %s wants -model FILE; faultline train makes one from units that failed", faultline.ErrInvalid, b.name)
	}
	m, err := readModel(model)
	return func(in io.Reader, out io.Writer) (boardCount, error) { return b.model(in, out, m) }, err
}

func boardNames() string {
	var names []string
	for _, b := range boards {
		names = append(names, b.name)
	}
	return strings.Join(names, ", ")
}

// boardRule loads the rule of a board.
func boardRule(board, file string) (*rules.Rule, error) {
	data, err := boardRules.ReadFile("boards/" + board + ".yaml")
	if file != "" {
		data, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("read the rule: %w", err)
	}
	set, err := rules.Load(nil, rules.File{Name: board + ".yaml", Data: data})
	if err != nil {
		return nil, err
	}
	if len(set.Rules()) != 1 {
		return nil, fmt.Errorf("%d rules: a board is run with one", len(set.Rules()))
	}
	return set.Rules()[0], nil
}

// all runs a board over every file of a directory.
func (r boardRun) all(ctx context.Context, in, to string, out io.Writer) error {
	files, err := dataFiles(in)
	if err != nil {
		return err
	}
	var total boardCount
	began, cpu := time.Now(), cpuSeconds()
	for i, path := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		rel, err := filepath.Rel(in, path)
		if err != nil {
			return fmt.Errorf("name the answer to %s: %w", path, err)
		}
		c, err := r.file(path, filepath.Join(to, answerName(rel)))
		if err != nil {
			return err
		}
		total.rows, total.tickets, total.units = total.rows+c.rows, total.tickets+c.tickets, total.units+c.units
		fmt.Fprintf(out, "%3d/%d  %-58s %6d rows, %s\n", i+1, len(files), rel, c.rows, c.found())
	}
	micros := 1e6 / float64(max(total.rows, 1))
	fmt.Fprintf(out, "%d rows in %d files, %s; a row took %.1f µs, of which %.1f µs of processor, reading and writing included\n",
		total.rows, len(files), total.found(), time.Since(began).Seconds()*micros, (cpuSeconds()-cpu)*micros)
	return nil
}

func (c *boardCount) found() string {
	if c.units > 0 {
		return fmt.Sprintf("%3d units", c.units)
	}
	text := fmt.Sprintf("%3d tickets", c.tickets)
	if c.lead > 0 {
		text += fmt.Sprintf(", the first %d rows before the end", c.lead)
	}
	return text
}

// dataEndings are what files of data end in.
var dataEndings = []string{".csv", ".txt", ".csv.gz", ".txt.gz"}

// dataFiles lists the files of data in a directory, or is the one file that is named.
func dataFiles(in string) (files []string, err error) {
	err = filepath.WalkDir(in, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && slices.ContainsFunc(dataEndings, func(e string) bool { return strings.HasSuffix(path, e) }) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", in, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s holds no file that ends in %s", in, strings.Join(dataEndings, ", "))
	}
	return files, nil
}

// answerName is the file of the answers to a file of data.
func answerName(data string) string {
	data = strings.TrimSuffix(data, ".gz")
	return strings.TrimSuffix(data, filepath.Ext(data)) + ".csv"
}

// openData opens a file, and what is in it if it is compressed.
func openData(path string) (io.Reader, io.Closer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open the data: %w", err)
	}
	if !strings.HasSuffix(path, ".gz") {
		return f, f, nil
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		_ = f.Close() // which was only read
		return nil, nil, fmt.Errorf("%s: decompress: %w", path, err)
	}
	return z, f, nil
}

// file answers one file.
func (r boardRun) file(from, to string) (c boardCount, err error) {
	in, closer, err := openData(from)
	if err != nil {
		return c, err
	}
	defer closer.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return c, fmt.Errorf("make a folder for the answer: %w", err)
	}
	answer, err := os.Create(to)
	if err != nil {
		return c, fmt.Errorf("write the answer: %w", err)
	}
	c, err = r(in, answer)
	if err := errors.Join(err, answer.Close()); err != nil {
		return c, fmt.Errorf("%s: %w", from, err)
	}
	return c, nil
}

// boardKind makes the board's rule for signals of these names.
func boardKind(rule *rules.Rule, names []string) (kind.Kind, error) {
	points := make([]faultline.Point, len(names))
	for i, n := range names {
		points[i] = faultline.Point{Name: n, Type: faultline.TypeFloat}
	}
	typ := kind.Find(rule.Kind)
	if typ == nil {
		return nil, fmt.Errorf("rule %s has kind %q, which is not known", rule.ID, rule.Kind)
	}
	point := &points[0]
	if rule.Point == "" {
		point = nil
	}
	k, _, err := typ.Make(&rule.Settings, point, points)
	return k, err
}

// boardTime reads the time of a row, which has no zone.
func boardTime(s string) (time.Time, error) {
	s = strings.Replace(strings.TrimSpace(s), "T", " ", 1)
	at, err := time.Parse("2006-01-02 15:04:05", s)
	if err != nil {
		return at, fmt.Errorf("%q is no time such as 2026-03-01 08:00:00", s)
	}
	return at, nil
}

// boardReader reads the rows of a CSV file with a header.
func boardReader(in io.Reader, comma rune) (*csv.Reader, []string, error) {
	r := csv.NewReader(in)
	r.Comma, r.ReuseRecord = comma, true
	header, err := r.Read()
	if err != nil {
		return nil, nil, fmt.Errorf("read the header: %w", err)
	}
	for i := range header {
		header[i] = strings.TrimSpace(strings.TrimPrefix(header[i], "\ufeff"))
	}
	return r, slices.Clone(header), nil
}
