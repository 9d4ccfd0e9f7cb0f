package api

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestExamplesOfAlarms carries out every example of docs/alarms.md.
func TestExamplesOfAlarms(t *testing.T) {
	text, err := os.ReadFile("../docs/alarms.md")
	must(t, err)
	f := newFixture(t)
	f.populate(t)
	address := regexp.MustCompile(`http://127\.0\.0\.1:8080(/[^' ]*)`)
	body := regexp.MustCompile(`-d '([^']*)'`)
	n := 0
	for _, line := range strings.Split(string(text), "\n") {
		if !strings.HasPrefix(line, "curl ") {
			continue
		}
		n++
		m := address.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("%s: no address", line)
		}
		method, sent := http.MethodGet, ""
		if strings.Contains(line, "-X POST") {
			method = http.MethodPost
		}
		if b := body.FindStringSubmatch(line); b != nil {
			sent = b[1]
		}
		if a := f.do(method, m[1], sent); a.code != http.StatusOK {
			t.Errorf("%s: %d %s", line, a.code, a.body)
		}
	}
	if n < 9 {
		t.Errorf("%d examples", n)
	}
	for _, state := range alarmStates {
		if !strings.Contains(string(text), "`"+state+"`") {
			t.Errorf("state %s is not explained", state)
		}
	}
}
