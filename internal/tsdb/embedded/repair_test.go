package embedded

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// After a loss of power a shard's index may be unusable: it is made again from the points, those that are
// only in the write-ahead log included.
func TestAnIndexThatPowerLossBrokeIsMadeAnew(t *testing.T) {
	for name, breakIt := range map[string]func(file string) error{
		"empty":  func(file string) error { return os.Truncate(file, 0) },
		"torn":   func(file string) error { return os.Truncate(file, 20) },
		"gone":   os.Remove,
		"intact": func(string) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			c := Config{Dir: t.TempDir(), Database: "db"}
			e := open(t, c)
			for i := range 50 {
				lines := fmt.Sprintf("pump,position=P-%d v=%d %d\n", i, i, 1_700_000_000_000_000_000+i)
				if code, body := call(t, e, http.MethodPost, "/write?db=db", strings.NewReader(lines)); code != http.StatusNoContent {
					t.Fatalf("%d %s", code, body)
				}
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			files, err := filepath.Glob(filepath.Join(c.Dir, "data", "db", "*", "*", "index", "*", "MANIFEST"))
			if err != nil || len(files) == 0 {
				t.Fatalf("no index: %v", err)
			}
			for _, f := range files {
				if err := breakIt(f); err != nil {
					t.Fatal(err)
				}
			}
			e = open(t, c)
			if got := ask(t, e, `SELECT count(v) FROM pump`, "db", "db"); !strings.Contains(got, ",50]") {
				t.Errorf("after: %s", got)
			}
			if got := ask(t, e, `SELECT v FROM pump WHERE position = 'P-7'`, "db", "db"); !strings.Contains(got, ",7]") {
				t.Errorf("one series: %s", got)
			}
			if code, body := call(t, e, http.MethodPost, "/write?db=db", strings.NewReader("pump,position=P-50 v=50 1700000000000000050\n")); code != http.StatusNoContent {
				t.Errorf("a write afterwards: %d %s", code, body)
			}
		})
	}
}
