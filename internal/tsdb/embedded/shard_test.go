package embedded

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a damaged shard held is not answered with nothing: the error names the shard, its directory and what to do.
func TestADamagedShardIsNamed(t *testing.T) {
	for name, breakIt := range map[string]func(t *testing.T, shard string){
		"points": func(t *testing.T, shard string) {
			files, err := filepath.Glob(filepath.Join(shard, "*.tsm"))
			if err != nil || len(files) == 0 {
				t.Fatalf("no points in %s: %v", shard, err)
			}
			if err := os.WriteFile(files[0], []byte("nothing of this can be read"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"index": func(t *testing.T, shard string) {
			logs, err := filepath.Glob(filepath.Join(shard, "index", "*", "MANIFEST"))
			if err != nil || len(logs) == 0 {
				t.Fatalf("no index in %s: %v", shard, err)
			}
			if err := os.WriteFile(logs[0], []byte(`{"version": 99}`), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := Config{Dir: t.TempDir(), Database: "db"}
			e := open(t, c)
			lines := "pump v=1 1700000000000000000\npump v=2 1702000000000000000\n" // in two shards
			if code, body := call(t, e, http.MethodPost, "/write?db=db", strings.NewReader(lines)); code != http.StatusNoContent {
				t.Fatalf("%d %s", code, body)
			}
			for _, s := range e.store.Shards(e.store.ShardIDs()) { // so that the points are in a file
				if err := s.ScheduleFullCompaction(); err != nil {
					t.Fatal(err)
				}
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			shards, err := filepath.Glob(filepath.Join(c.Dir, "data", "db", "raw", "*"))
			if err != nil || len(shards) != 2 {
				t.Fatalf("%v, %v", shards, err)
			}
			breakIt(t, shards[0])
			for range 2 { // also at the next start
				e = open(t, c)
				got := ask(t, e, "SELECT v FROM pump", "db", "db")
				for _, want := range []string{"error", shards[0], "damaged", "backup", "move"} {
					if !strings.Contains(got, want) {
						t.Errorf("%q does not say %q", got, want)
					}
				}
				if got := ask(t, e, "SELECT v FROM pump WHERE time > 1701900000000000000", "db", "db"); !strings.Contains(got, ",2]") {
					t.Errorf("the other shard: %s", got)
				}
				if err := e.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Rename(shards[0], filepath.Join(t.TempDir(), "aside")); err != nil {
				t.Fatal(err)
			}
			e = open(t, c)
			if got := ask(t, e, "SELECT v FROM pump", "db", "db"); strings.Contains(got, "error") || !strings.Contains(got, ",2]") {
				t.Errorf("without it: %s", got)
			}
		})
	}
}
