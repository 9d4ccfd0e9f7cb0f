package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

func openTemp(t testing.TB) *Store {
	t.Helper()
	return openAt(t, "sqlite:"+filepath.Join(t.TempDir(), "faultline.db"))
}

func TestSQLite(t *testing.T) {
	for _, c := range conformance {
		t.Run(c.name, func(t *testing.T) { c.run(t, openTemp(t)) })
	}
	t.Run("newer tables", func(t *testing.T) { testNewerTables(t, "sqlite:"+filepath.Join(t.TempDir(), "faultline.db")) })
}

// TestMain lets the test binary play the other process.
func TestMain(m *testing.M) {
	if url := os.Getenv("FAULTLINE_TEST_CHILD"); url != "" {
		if err := child(url); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child commits transactions for ever and says so after each.
func child(url string) error {
	ctx := context.Background()
	s, err := Open(ctx, Config{URL: url})
	if err != nil {
		return err
	}
	l, err := s.Acquire(ctx, "rules", 0, "local", time.Hour, time.Now())
	if err != nil {
		return err
	}
	for {
		var number string
		err := s.Tx(ctx, l, func(tx *Tx) error {
			number, err = effect(tx)
			return err
		})
		if err != nil {
			return err
		}
		fmt.Println("committed", number)
	}
}

// effect is all that rules writes when a fault begins, with the place it was found at.
func effect(tx *Tx) (number string, err error) {
	place, err := tx.Place("rules", 0)
	if err != nil {
		return "", err
	}
	place = faultline.Place{Stream: "F", Sequence: place.Sequence + 1}
	alarm := anAlarm(fmt.Sprint("rule-", place.Sequence))
	ticket := aTicket("key|" + alarm.ID)
	if _, err := tx.AddAlarmEvent(faultline.AlarmEvent{Alarm: alarm.ID, At: t0, Transition: faultline.TransitionRaised}); err != nil {
		return "", err
	}
	if _, _, err := tx.TicketByKey(ticket.Keys[0]); err != nil {
		return "", err
	}
	samples := make([]faultline.EvidenceSample, 120)
	for i := range samples {
		v := 80 + float64(i)/10
		samples[i] = faultline.EvidenceSample{At: t0.Add(time.Duration(i) * time.Second), Value: &v, Quality: faultline.Good}
	}
	if err := tx.CreateTicket(&ticket); err != nil {
		return "", err
	}
	return ticket.Number, errors.Join(
		tx.PutAlarm(alarm),
		tx.AddTicketEvent(faultline.TicketEvent{Ticket: ticket.ID, At: t0, By: "rules", Kind: faultline.EventOpened}),
		tx.PutEvidence(faultline.Evidence{Ticket: ticket.ID, Alarm: alarm.ID, At: t0, Samples: samples}),
		tx.SavePlace("rules", 0, place),
	)
}

func startChild(t *testing.T, url string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "FAULTLINE_TEST_CHILD="+url)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	return cmd, bufio.NewScanner(out)
}

// A process killed in the middle of committing leaves everything that it was told is committed, and
// nothing by halves.
func TestSQLiteKilled(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "faultline.db")
	var last string
	for round := range 3 {
		cmd, lines := startChild(t, url)
		for range 20 + 7*round {
			if !lines.Scan() {
				t.Fatalf("the child ended: %v", cmd.Wait())
			}
			said, ok := strings.CutPrefix(lines.Text(), "committed ")
			if !ok {
				t.Fatalf("the child says %q", lines.Text())
			}
			last = said
		}
		must(t, cmd.Process.Kill())
		for lines.Scan() { // what it said before it died counts
			last = strings.TrimPrefix(lines.Text(), "committed ")
		}
		_ = cmd.Wait()

		s, err := Open(t.Context(), Config{URL: url})
		must(t, err)
		tickets, total, err := s.Tickets(t.Context(), TicketFilter{})
		must(t, err)
		newest := tickets[0].Number
		if n, _ := parseNumber(newest); int64(total) != n {
			t.Errorf("%d tickets, the newest is %s", total, newest)
		}
		if newest < last {
			t.Errorf("%s was committed, the newest is %s", last, newest)
		}
		places, err := s.Places(t.Context())
		must(t, err)
		for _, table := range []string{"alarm", "alarm_event", "ticket_event", "ticket_key", "evidence"} {
			var n int
			must(t, s.reader().row(t.Context(), "SELECT count(*) FROM "+table).Scan(&n))
			equal(t, table, n, total)
		}
		equal(t, "place", places[0].Place.Sequence, uint64(total))
		must(t, s.Close())
	}
}

func TestSQLiteOneProcess(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "faultline.db")
	s, err := Open(t.Context(), Config{URL: url})
	must(t, err)
	cmd, lines := startChild(t, url)
	lines.Scan()
	if got := lines.Text(); !strings.Contains(got, "faultline.db is in use by another process") || !strings.Contains(got, "PostgreSQL") {
		t.Errorf("the second process says %q", got)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the second process ended well")
	}
	_, err = Open(t.Context(), Config{URL: url}) // nor a second time in this one
	wantErr(t, err, faultline.ErrConflict, "in use")
	must(t, s.PutSite(t.Context(), faultline.Site{ID: "plant"})) // the first goes on
	must(t, s.Close())
	s = openAt(t, url)
	sites, err := s.Sites(t.Context())
	must(t, err)
	equal(t, "sites", len(sites), 1)
}

func TestSQLiteFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "wéird ?#%41&;dir")
	path := filepath.Join(dir, "a b?mode=memory#c%20.db")
	s := openAt(t, "sqlite:"+path)
	must(t, s.PutSite(t.Context(), faultline.Site{ID: "plant"}))
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	}))
	var mode, sync string
	must(t, s.write.QueryRow("PRAGMA journal_mode").Scan(&mode))
	must(t, s.write.QueryRow("PRAGMA synchronous").Scan(&sync))
	equal(t, "journal mode and synchronous (2: full)", []string{mode, sync}, []string{"wal", "2"})
	if _, err := s.read.Exec("DELETE FROM site"); err == nil {
		t.Error("the read pool writes")
	}
}
