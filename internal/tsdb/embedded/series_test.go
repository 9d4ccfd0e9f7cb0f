package embedded

import (
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestNewSeriesAreSyncedBeforeTheAnswer(t *testing.T) {
	e := open(t, Config{Database: "db"})
	var synced []string
	var failure error
	e.series.sync = func(path string) error {
		synced = append(synced, path)
		return errors.Join(failure, syncFile(path))
	}
	write := func(lines string) (int, int) {
		t.Helper()
		synced = nil
		status, _ := call(t, e, http.MethodPost, "/write?db=db", strings.NewReader(lines))
		return status, len(synced)
	}
	if status, n := write("m,s=a v=1 1\nm,s=b v=1 1"); status != 204 || n != 8 {
		t.Fatalf("new series: %d, %d files synced, want the segments of all 8 partitions", status, n)
	}
	segment := filepath.Join(e.cfg.Dir, "data", "db", "_series", "00", "0000")
	if !slices.Contains(synced, segment) {
		t.Errorf("synced %v, want %s among them", synced, segment)
	}
	if status, n := write("m,s=a v=2 2\nm,s=b v=2,w=3 2"); status != 204 || n != 0 {
		t.Errorf("known series: %d, %d files synced", status, n)
	}
	failure = errors.New("disk gone")
	if status, _ := write("m,s=a v=2 2\nm,s=c v=1 1"); status != 500 {
		t.Errorf("a failed sync is answered with %d", status)
	}
	failure = nil
	if status, n := write("m,s=c v=1 1"); status != 204 || n == 0 {
		t.Errorf("after a failed sync: %d, %d files synced", status, n)
	}
	if status, n := write("m,s=d v=1 1\nm,s=e v=1i 1"); status != 400 || n == 0 {
		t.Errorf("a partial write: %d, %d files synced", status, n)
	}
	if status, n := write("m,s=e v=1 1"); status != 204 || n == 0 {
		t.Errorf("a series that may not have been made before: %d, %d files synced", status, n)
	}
	if status, _ := call(t, e, http.MethodPost, "/query?db=db&q=DROP+MEASUREMENT+m", nil); status != 200 {
		t.Fatal(status)
	}
	if status, n := write("m,s=a v=1 1"); status != 204 || n == 0 {
		t.Errorf("a series made again: %d, %d files synced", status, n)
	}
}

func TestOnlyExpiredPointsOnAFreshDatabase(t *testing.T) {
	e := open(t, Config{Database: "db", Retention: 48 * time.Hour})
	if status, body := call(t, e, http.MethodPost, "/write?db=db", strings.NewReader("m v=1 1")); status != 400 || !strings.Contains(body, "retention policy") {
		t.Errorf("%d %s, want a refusal for good", status, body)
	}
}
