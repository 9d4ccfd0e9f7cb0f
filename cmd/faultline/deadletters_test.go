package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
)

// centre writes a configuration of a central process with embedded parts.
func centre(t *testing.T) (file string, cfg *Config) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "faultline.yaml")
	if err := os.WriteFile(file, []byte("data: data\nhub: {max_bytes: 67108864}\napi: {listen: \"127.0.0.1:0\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := LoadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	return file, cfg
}

func cli(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := dispatch(t.Context(), args, &out, io.Discard)
	return out.String(), err
}

func TestDeadLettersFromTheCommandLine(t *testing.T) {
	file, cfg := centre(t)
	n, stop := start(t, cfg, roleIngest, roleRules, roleAPI)
	now := time.Now().Truncate(time.Second)
	line := func(seq int) string {
		return fmt.Sprintf("pump,gateway=gw-1,position=P-1,site=plant-1 v=%d %d", seq, now.Add(time.Duration(seq)*time.Second).UnixNano())
	}
	letters := []faultline.DeadLetter{
		{At: now, Site: "plant-1", Gateway: "gw-1", Epoch: "e", Sequence: 1, Line: line(1), Reason: "field type conflict"},
		{At: now, Site: "plant-1", Gateway: "gw-1", Epoch: "e", Sequence: 2, Line: line(2), Reason: "field type conflict"},
		{At: now, Site: "plant-1", Gateway: "gw-1", Epoch: "e", Sequence: 3, Line: "nonsense \x1b[31m", Reason: "not a frame"},
		{At: now.Add(-200 * 24 * time.Hour), Site: "plant-1", Gateway: "gw-1", Epoch: "e", Sequence: 4, Line: fmt.Sprintf("pump,gateway=gw-1,position=P-1,site=plant-1 v=4 %d", now.Add(-200*24*time.Hour).UnixNano()), Reason: "other"},
	}
	lease, err := n.store.Acquire(t.Context(), "test", 0, "test", time.Minute, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.store.Tx(t.Context(), lease, func(tx *store.Tx) error { return tx.AddDeadLetters(letters) }); err != nil {
		t.Fatal(err)
	}
	check := func(want []string, fails bool, args ...string) {
		t.Helper()
		out, err := cli(t, append([]string{"deadletters"}, args...)...)
		if (err != nil) != fails {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
		for _, w := range want {
			if !strings.Contains(out, w) && (err == nil || !strings.Contains(err.Error(), w)) {
				t.Errorf("%v: no %q in\n%s\n%v", args, w, out, err)
			}
		}
		if strings.Contains(out, "\x1b") {
			t.Errorf("%v writes to the terminal what a device sent", args)
		}
	}
	// The process that runs has the databases open: it is asked.
	check([]string{"plant-1", "gw-1", "field type conflict", "  2  ", "not a frame"}, false, "list", "-config", file)
	check([]string{"3 of 4 dead letters", "frame 3", "\\x1b[31m"}, false, "show", "-limit", "3", "-config", file)
	check([]string{"say which"}, true, "replay", "-config", file)
	check([]string{"no number"}, true, "drop", "all", "-config", file)
	check([]string{"no verb"}, true, "eat", "-config", file)
	check([]string{"3 dead letters written, 1 refused", "refused still"}, true, "replay", "-all", "-config", file)
	got, err := n.influx.Query(t.Context(), `SELECT v FROM pump WHERE "position" = 'P-1'`, nil)
	if err != nil || len(got) != 1 || len(got[0].Rows) != 2 {
		t.Errorf("replayed: %+v, %v", got, err)
	}
	old, err := n.influx.QueryIn(t.Context(), "h1", `SELECT v FROM pump WHERE "origin" = 'late'`, nil)
	if err != nil || len(old) != 1 || len(old[0].Rows) != 1 {
		t.Errorf("the one whose time has expired: %+v, %v", old, err)
	}
	if _, stale, err := n.store.StaleFrom(t.Context(), "plant-1", now.Add(-time.Hour), now.Add(time.Hour)); err != nil || !stale {
		t.Errorf("the hour is not condensed again: %v", err)
	}
	stop()
	if _, err := os.Stat(controlFile(cfg)); !os.IsNotExist(err) {
		t.Errorf("control.json is left: %v", err)
	}
	// Nothing runs: the databases are opened. A file that a killed process left is no hindrance.
	if err := os.WriteFile(controlFile(cfg), []byte(`{"address":"127.0.0.1:1","token":"x"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	check([]string{"1 of 1 dead letters", "nonsense"}, false, "show", "-config", file)
	check([]string{"1 dead letters dropped"}, false, "drop", "-all", "-config", file)
	check([]string{"no dead letters"}, false, "-config", file)
	if out, err := cli(t, "audit", "export", "-config", file); err != nil || !strings.Contains(out, "faultline deadletters drop") || !strings.Contains(out, "1 dead letters") {
		t.Errorf("the audit does not tell who dropped letters: %v\n%s", err, out)
	}
}

func TestControlTakesItsSecretOnly(t *testing.T) {
	_, cfg := centre(t)
	_, stop := start(t, cfg, roleIngest, roleRules, roleAPI)
	b, err := os.ReadFile(controlFile(cfg))
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(controlFile(cfg)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(controlFile(cfg), bytes.Replace(b, []byte(`"token":"`), []byte(`"token":"0`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if done, err := askRunning(t.Context(), cfg, "deadletters", nil, io.Discard, io.Discard); !done || err == nil || !strings.Contains(err.Error(), "not for you") {
		t.Errorf("with a wrong secret: %v %v", done, err)
	}
	if err := os.WriteFile(controlFile(cfg), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := askRunning(t.Context(), cfg, "unknown", nil, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "no such task") {
		t.Errorf("an unknown task: %v", err)
	}
	stop()
}

func FuzzRecords(f *testing.F) {
	f.Add([]byte("o\x00\x00\x00\x02hid\x00\x00\x00\x00"))
	f.Add([]byte("f\x00\x00\x00\x03bad"))
	f.Add([]byte("o\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var out bytes.Buffer
		err := readRecords(bytes.NewReader(b), &out, io.Discard)
		if out.Len() > len(b) {
			t.Error("more came out than went in")
		}
		if err == nil && !bytes.Contains(b, []byte("d\x00")) {
			t.Error("no end, and no error")
		}
	})
}
