package embedded

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// restored unpacks an archive and opens an engine on it.
func restored(t *testing.T, archive []byte) *Engine {
	t.Helper()
	dir := t.TempDir()
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, h.Name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err == nil {
			err = os.WriteFile(file, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return open(t, Config{Dir: filepath.Join(dir, "x"), Database: "db", Retention: 365 * 24 * time.Hour})
}

func TestBackup(t *testing.T) {
	e := open(t, Config{Database: "db", Retention: 365 * 24 * time.Hour})
	now := time.Now().Add(-60 * 24 * time.Hour).Truncate(time.Second)
	write := func(i int) error {
		// Several series and shards, old and new; a field of each type.
		line := fmt.Sprintf("pump,site=s%d v=%d.5,n=%di,b=true,t=\"x%d\" %d", i%7, i, i, i, now.Add(time.Duration(i)*time.Hour).UnixNano())
		if status, body := call(t, e, http.MethodPost, "/write?db=db", strings.NewReader(line)); status != 204 {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	}
	for i := range 1000 {
		if err := write(i); err != nil {
			t.Fatal(err)
		}
	}
	if status, body := call(t, e, http.MethodPost, "/query?db=db&q="+strings.ReplaceAll("DELETE FROM pump WHERE site = 's6'", " ", "+"), nil); status != 200 {
		t.Fatal(body)
	}
	// Writes go on while it is copied.
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 1000; ; i++ {
			select {
			case <-stop:
				return
			default:
				if err := write(i % 1400); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	err := e.Backup(t.Context(), w, "x")
	close(stop)
	wg.Wait()
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	r := restored(t, out.Bytes())
	count := func(e *Engine, q string) string {
		t.Helper()
		status, body := call(t, e, http.MethodGet, "/query?db=db&q="+strings.ReplaceAll(q, " ", "+"), nil)
		if status != 200 {
			t.Fatal(body)
		}
		return body
	}
	to := fmt.Sprintf("time < %d", now.Add(1000*time.Hour).UnixNano())
	for _, q := range []string{
		"SELECT count(v), count(n), count(b), count(t), sum(n) FROM pump WHERE site != 's6' AND " + to + " GROUP BY site",
		"SELECT last(t) FROM pump WHERE site = 's3' AND " + to,
		"SHOW RETENTION POLICIES ON db",
	} {
		if was, is := count(e, q), count(r, q); was != is || !strings.Contains(is, "values") {
			t.Errorf("%s:\n%s\nrestored:\n%s", q, was, is)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(e.cfg.Dir, "data", "db", "raw", "*", "*.tmp")); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
	// The restored one can be written to.
	if status, body := call(t, r, http.MethodPost, "/write?db=db", strings.NewReader(fmt.Sprintf("pump,site=new v=1 %d", time.Now().UnixNano()))); status != 204 {
		t.Errorf("%d %s", status, body)
	}
}
