package sheet

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"
)

func TestRead(t *testing.T) {
	want := []Row{{1, []string{"serial", "model"}}, {3, []string{"A-1", "Pump, large"}}, {4, []string{"", "x"}}}
	for name, text := range map[string]string{
		"commas":     "serial,model\n\nA-1,\"Pump, large\"\n, x ,\n",
		"semicolons": "\xef\xbb\xbfserial;model;\r\n;;\r\nA-1;Pump, large\r\n;x\r\n",
		"tabs":       "serial\tmodel\n\t\nA-1\tPump, large\n\tx",
	} {
		got, err := Read([]byte(text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
	for text, says := range map[string]string{
		"serial\nM\xfcller": "line 2: the file is not UTF-8",
		"serial\n\"A":       "line 2, column",
		"PK\x03\x04 no":     "the workbook cannot be read",
		"a" + strings.Repeat(",", maxCells) + "b": "row 1 has 201 cells",
	} {
		if got, err := Read([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.20q: %v %v", text, got, err)
		}
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	at := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	rows := [][]any{{"site", "n", "mean", "at"}, {"=1+1", 3, 2.5, at}, {"-x", 0, nil, time.Time{}}}
	for format, want := range map[string][]Row{
		CSV:  {{1, []string{"site", "n", "mean", "at"}}, {2, []string{"'=1+1", "3", "2.5", "2026-01-31T08:00:00Z"}}, {3, []string{"'-x", "0"}}},
		XLSX: {{1, []string{"site", "n", "mean", "at"}}, {2, []string{"=1+1", "3", "2.5", "2026-01-31T08:00:00Z"}}, {3, []string{"-x", "0"}}},
	} {
		var b bytes.Buffer
		if err := Write(&b, format, rows); err != nil {
			t.Fatal(err)
		}
		got, err := Read(b.Bytes())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v %v", format, got, err)
		}
	}
}

func TestDate(t *testing.T) {
	day := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	for cell, want := range map[string]time.Time{"": {}, "2026-01-31": day, "46053": day, "46053.5": day.Add(12 * time.Hour), "2026-01-31T01:00:00+01:00": day, "2026-01-31 06:30": day.Add(390 * time.Minute)} {
		if got, err := Date(cell); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v %v", cell, got, err)
		}
	}
	for _, cell := range []string{"31.01.2026", "01/02/2026", "12", "2026-02-30", "NaN", "1e300"} {
		if got, err := Date(cell); err == nil {
			t.Errorf("%q: %v", cell, got)
		}
	}
	// A date as a spreadsheet stores it.
	f := excelize.NewFile()
	_ = f.SetCellValue("Sheet1", "A1", day)
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	rows, err := Read(b.Bytes())
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	if got, err := Date(rows[0].Cells[0]); err != nil || !got.Equal(day) {
		t.Error(rows, got, err)
	}
}

func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	_ = Write(&b, XLSX, [][]any{{"a", 1}})
	f.Add(b.Bytes())
	f.Add([]byte("a;b\n\"1\";2"))
	f.Add([]byte("\xef\xbb\xbfa,b"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, err := Read(data)
		for _, r := range rows {
			if err == nil && (r.Line < 1 || len(r.Cells) == 0 || len(r.Cells) > maxCells) {
				t.Errorf("%+v", r)
			}
			for _, c := range r.Cells {
				_, _ = Date(c)
			}
		}
	})
}
