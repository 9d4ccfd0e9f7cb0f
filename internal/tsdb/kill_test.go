package tsdb_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline/internal/tsdb"
	"github.com/faultline-iot/faultline/internal/tsdb/embedded"
)

// victimDir names, in the environment of a child process, the directory in which it is to write until
// it is killed.
const victimDir = "FAULTLINE_TEST_TSDB_VICTIM"

// batchLines is the number of lines of each of the victim's writes; begin is their first time.
const batchLines = 50

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		if err := victim(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// victim writes batches for ever and says the number of each one that was acknowledged.
func victim(dir string) error {
	ctx := context.Background()
	e, err := embedded.Open(embedded.Config{Dir: dir})
	if err != nil {
		return err
	}
	c, err := tsdb.Open(ctx, tsdb.Config{URL: e.URL(), Token: e.Token()})
	if err != nil {
		return err
	}
	if err := c.Setup(ctx); err != nil {
		return err
	}
	count, err := c.Count(ctx, tsdb.CountWhere{})
	if err != nil {
		return err
	}
	for n := int(count.Values) / batchLines; ; n++ {
		if err := c.Write(ctx, []byte(batch(n))); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

func batch(n int) string {
	var b strings.Builder
	for i := range batchLines {
		at := begin.Add(time.Duration(n*batchLines+i) * time.Second)
		fmt.Fprintf(&b, "pump,gateway=g1,position=P-%d,site=s1 v=%d %d\n", i%7, n*batchLines+i, at.UnixNano())
	}
	return b.String()
}

// TestKilledEngineKeepsWhatItAcknowledged kills the process in the middle of its writes, several times
// on the same directory, and then looks for every acknowledged value.
func TestKilledEngineKeepsWhatItAcknowledged(t *testing.T) {
	dir := t.TempDir()
	acknowledged := -1
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), victimDir+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		before, lines := acknowledged, bufio.NewScanner(out)
		for lines.Scan() { // to the end: what the pipe still holds was acknowledged too
			n, err := strconv.Atoi(lines.Text())
			if err != nil {
				continue // cut off
			}
			acknowledged = n
			if n == before+40 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // it was killed
		if acknowledged < before+40 {
			t.Fatalf("the child ended by itself after %d batches", acknowledged-before)
		}
	}
	e, err := embedded.Open(embedded.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	c := client(t, tsdb.Config{URL: e.URL(), Token: e.Token()})
	got, err := c.Query(t.Context(), "SELECT v FROM pump", nil)
	if err != nil || len(got) != 1 {
		t.Fatalf("%d series (%v)", len(got), err)
	}
	rows := got[0].Rows
	want := (acknowledged + 1) * batchLines
	if len(rows) < want {
		t.Fatalf("%d values after kill -9, want at least the %d acknowledged ones", len(rows), want)
	}
	for i, row := range rows[:want] {
		if at := begin.Add(time.Duration(i) * time.Second); !row[0].(time.Time).Equal(at) || row[1] != int64(i) {
			t.Fatalf("row %d is %v, want %v %d", i, row, at, i)
		}
	}
	t.Logf("3 kills, %d values acknowledged, %d found", want, len(rows))
}

// BenchmarkWrite is the way of lines of 20 values through client and HTTP to the engine's disk.
func BenchmarkWrite(b *testing.B) {
	c, _ := open(b, 0)
	for _, size := range []int{1, 100, 1000, 5000} {
		b.Run(fmt.Sprintf("lines=%d", size), func(b *testing.B) {
			at := time.Now().Add(-time.Hour)
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				buf = buf[:0]
				for i := range size {
					at = at.Add(time.Millisecond)
					buf = fmt.Appendf(buf, "pump,gateway=g1,position=P-%d,site=s1 ", i%50)
					for p := range 20 {
						if p > 0 {
							buf = append(buf, ',')
						}
						buf = fmt.Appendf(buf, "point_%d=%d.5", p, (i+p)%1000)
					}
					buf = fmt.Appendf(buf, " %d\n", at.UnixNano())
				}
				b.StartTimer()
				if err := c.Write(b.Context(), buf); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*size*20)/b.Elapsed().Seconds(), "values/s")
		})
	}
}
