// Package sheet reads and writes tables as CSV and XLSX files.
package sheet

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/xuri/excelize/v2"
)

// Formats of a file.
const (
	CSV  = "csv"
	XLSX = "xlsx"
)

// Formats lists them.
var Formats = []string{CSV, XLSX}

// Limits of a file that is read.
const (
	MaxBytes = 32 << 20
	maxRows  = 200_000
	maxCells = 200 // in a row
)

// MediaType of a format.
func MediaType(format string) string {
	if format == XLSX {
		return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	}
	return "text/csv; charset=utf-8"
}

// Row of a table, with the number that people know it by.
type Row struct {
	Line  int // of the file, or the row of the sheet; from 1
	Cells []string
}

// Read reads a CSV file (UTF-8; separated by commas, semicolons or tabs, whichever the first line has most of)
// or the first sheet of an XLSX workbook, which is told by its content. Empty rows are left out, cells are trimmed. A date in a
// workbook is the number of its days: Date understands it.
func Read(data []byte) ([]Row, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("the file has %d bytes: at most %d are read", len(data), MaxBytes)
	}
	if bytes.HasPrefix(data, []byte("PK\x03\x04")) {
		return readXLSX(data)
	}
	return readCSV(data)
}

func readCSV(data []byte) ([]Row, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(data) {
		line := 1
		for rest := data; len(rest) > 0; {
			r, n := utf8.DecodeRune(rest)
			if r == utf8.RuneError && n == 1 {
				break
			}
			if r == '\n' {
				line++
			}
			rest = rest[n:]
		}
		return nil, fmt.Errorf("line %d: the file is not UTF-8: save it as \"CSV UTF-8\" or as XLSX", line)
	}
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord, r.Comma = -1, comma(data)
	var rows []Row
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			var p *csv.ParseError
			if errors.As(err, &p) {
				return nil, fmt.Errorf("line %d, column %d: %w", p.Line, p.Column, p.Err)
			}
			return nil, err
		}
		line, _ := r.FieldPos(0)
		if rows, err = add(rows, line, cells); err != nil {
			return nil, err
		}
	}
}

// comma is the separator that the first line has most of.
func comma(data []byte) rune {
	first, _, _ := bytes.Cut(data, []byte("\n"))
	best, n := ',', bytes.Count(first, []byte(","))
	for _, c := range []rune{';', '\t'} {
		if k := bytes.Count(first, []byte(string(c))); k > n {
			best, n = c, k
		}
	}
	return best
}

func readXLSX(data []byte) ([]Row, error) {
	f, err := excelize.OpenReader(bytes.NewReader(data), excelize.Options{RawCellValue: true, UnzipSizeLimit: 8 * MaxBytes, UnzipXMLSizeLimit: 8 * MaxBytes})
	if err != nil {
		return nil, fmt.Errorf("the workbook cannot be read: %w", err)
	}
	defer f.Close()
	sheets := f.GetSheetList()
	if len(sheets) == 0 {
		return nil, errors.New("the workbook has no sheet")
	}
	each, err := f.Rows(sheets[0])
	if err != nil {
		return nil, fmt.Errorf("sheet %q: %w", sheets[0], err)
	}
	defer each.Close()
	var rows []Row
	for line := 1; each.Next(); line++ {
		cells, err := each.Columns()
		if err != nil {
			return nil, fmt.Errorf("sheet %q, row %d: %w", sheets[0], line, err)
		}
		if rows, err = add(rows, line, cells); err != nil {
			return nil, err
		}
	}
	return rows, each.Error()
}

func add(rows []Row, line int, cells []string) ([]Row, error) {
	for len(cells) > 0 && strings.TrimSpace(cells[len(cells)-1]) == "" {
		cells = cells[:len(cells)-1]
	}
	switch {
	case len(cells) == 0:
		return rows, nil
	case len(cells) > maxCells:
		return nil, fmt.Errorf("row %d has %d cells: at most %d are read", line, len(cells), maxCells)
	case len(rows) == maxRows:
		return nil, fmt.Errorf("row %d: at most %d rows are read", line, maxRows)
	}
	for i, c := range cells {
		cells[i] = strings.TrimSpace(c)
	}
	return append(rows, Row{line, cells}), nil
}

// Date reads a day as people and programs write it: 2026-01-31, also with a time behind it, or the number of days
// by which a workbook knows it. "" is the zero time.
func Date(cell string) (time.Time, error) {
	if cell == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{time.DateOnly, time.RFC3339, time.DateTime, "2006-01-02 15:04"} {
		if t, err := time.Parse(form, cell); err == nil {
			return t.UTC(), nil
		}
	}
	if days, err := strconv.ParseFloat(cell, 64); err == nil && days > 366 && days < 2958466 { // 1901 to 9999
		if t, err := excelize.ExcelDateToTime(days, false); err == nil {
			return t.UTC().Truncate(time.Second), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no date: write it as 2026-01-31", cell)
}

// Write writes a table; cells are strings, numbers, times or nil. A text that a spreadsheet would take for a formula gets an apostrophe
// before it in a CSV file.
func Write(w io.Writer, format string, rows [][]any) error {
	if format == XLSX {
		return writeXLSX(w, rows)
	}
	if _, err := io.WriteString(w, "\xef\xbb\xbf"); err != nil { // spreadsheets take it for another encoding otherwise
		return err
	}
	c := csv.NewWriter(w)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, v := range row {
			cells[i] = text(v)
		}
		if err := c.Write(cells); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case time.Time:
		if v.IsZero() {
			return ""
		}
		return v.UTC().Format(time.RFC3339)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case string:
		if v != "" && strings.ContainsRune("=+-@\t\r", rune(v[0])) {
			return "'" + v
		}
		return v
	}
	return fmt.Sprint(v)
}

func writeXLSX(w io.Writer, rows [][]any) error {
	f := excelize.NewFile()
	defer f.Close()
	const name = "Sheet1"
	s, err := f.NewStreamWriter(name)
	if err != nil {
		return err
	}
	for i, row := range rows {
		cells := make([]any, len(row))
		for k, v := range row {
			if t, ok := v.(time.Time); ok {
				v = text(t) // with its zone, which a workbook's own dates have not
			}
			cells[k] = v
		}
		at, err := excelize.CoordinatesToCellName(1, i+1)
		if err != nil {
			return err
		}
		if err := s.SetRow(at, cells); err != nil {
			return err
		}
	}
	if err := s.Flush(); err != nil {
		return err
	}
	return f.Write(w)
}
