package console

import (
	"io/fs"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	faultline "github.com/faultline-iot/faultline"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func TestEveryViewRenders(t *testing.T) {
	c, err := New(time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range views {
		var b strings.Builder
		if err := c.Render(&b, Shell{Title: "x<y", Now: noon, Href: "/x", Notice: Notice{Bad: true, Text: "a<b", Items: []string{"c<d"}}}, v); err != nil {
			t.Errorf("%s: %v", v.template(), err)
		}
		for _, want := range []string{"x&lt;y", "a&lt;b", "c&lt;d", `data-href="/x"`, "Times in UTC"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s does not show %s", v.template(), want)
			}
		}
	}
	files, err := fs.Glob(templates, "template/*.html")
	if err != nil || len(files) != len(views)+2 {
		t.Errorf("%d templates for %d views: %v", len(files), len(views), err)
	}
}

// TestTextsPassThroughOnePlace finds words that stand in a template by themselves: another language
// could not replace them.
func TestTextsPassThroughOnePlace(t *testing.T) {
	action, tag := regexp.MustCompile(`(?s)\{\{.*?\}\}`), regexp.MustCompile(`(?s)<[^>]*>`)
	word := regexp.MustCompile(`[A-Za-z]{2,}`)
	files, _ := fs.Glob(templates, "template/*.html")
	for _, f := range files {
		b, err := templates.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(b), "\n") {
			line = tag.ReplaceAllString(action.ReplaceAllString(line, ""), "")
			for _, w := range word.FindAllString(line, -1) {
				if w != "Faultline" && w != "doctype" {
					t.Errorf("%s:%d: %q stands by itself", f, i+1, w)
				}
			}
		}
	}
}

// TestFields finds fields that no template uses any more.
func TestFields(t *testing.T) {
	var all strings.Builder
	files, _ := fs.Glob(templates, "template/*.html")
	for _, f := range files {
		b, _ := templates.ReadFile(f)
		all.Write(b)
	}
	for _, v := range views {
		for i := range reflect.TypeOf(v).NumField() {
			n := reflect.TypeOf(v).Field(i).Name
			if !regexp.MustCompile(`\.` + n + `\b`).MatchString(all.String()) {
				t.Errorf("%s.%s is shown nowhere", v.template(), n)
			}
		}
	}
}

func TestMoments(t *testing.T) {
	m := Maker{Now: noon, Location: time.FixedZone("CET", 3600)}
	for _, c := range []struct {
		at         time.Time
		ago, clock string
	}{
		{noon, "now", "13:00:00"},
		{noon.Add(-90*time.Second + 1), "89 s ago", "12:58:30"},
		{noon.Add(-2 * time.Minute), "2 min ago", "12:58:00"},
		{noon.Add(-5 * time.Hour), "5 h ago", "08:00:00"},
		{noon.Add(-13 * time.Hour), "13 h ago", "00:00:00"}, // today in this zone, yesterday in UTC
		{noon.AddDate(0, 0, -3), "3 d ago", "11 Mar 13:00"},
		{noon.AddDate(-1, 0, 0), "365 d ago", "14 Mar 2025 13:00"},
		{noon.Add(3 * time.Hour), "in 3 h", "16:00:00"},
		{time.Time{}, "", ""},
	} {
		if got := m.At(c.at); got.Ago != c.ago || got.Clock != c.clock {
			t.Errorf("%s: %q %q, want %q %q", c.at, got.Ago, got.Clock, c.ago, c.clock)
		}
	}
}

func TestDue(t *testing.T) {
	m := Maker{Now: noon, Location: time.UTC}
	k := faultline.Ticket{Kind: faultline.TicketFault, Status: faultline.StatusNew, Priority: faultline.P1, ReceivedAt: noon.Add(-45 * time.Minute)}
	c := k.Clocks(faultline.DefaultService, noon)
	if d := m.Due("response", c.Response); d.State.Text != "Due soon" || d.Percent != 75 || d.At.Ago != "in 15 min" {
		t.Errorf("%+v", d)
	}
	if d := m.Due("solution", c.Answer); d.State.Text != "Running" || d.Percent > 3 {
		t.Errorf("%+v", d)
	}
	k.Note(faultline.TicketEvent{At: noon.Add(20 * time.Minute), Kind: faultline.EventResponse})
	c = k.Clocks(faultline.DefaultService, noon.Add(time.Hour))
	if d := m.Due("response", c.Response); d.State.Text != "Missed" || d.Percent != 100 || d.Stopped.ISO == "" {
		t.Errorf("%+v", d)
	}
	if d := m.Due("none", faultline.Clock{State: "none"}); d != nil {
		t.Errorf("%+v", d)
	}
}

func TestWords(t *testing.T) {
	for in, want := range map[any]string{faultline.StatusWaitingParts: "Waiting for parts", faultline.AlarmReturned: "Returned, unacknowledged", "centrifugal_pump": "Centrifugal pump", "": "", "ups": "UPS"} {
		if got := Word(in); got != want {
			t.Errorf("%v is called %q, want %q", in, got, want)
		}
	}
	for in, want := range map[faultline.Quality]string{faultline.Good: "Good", faultline.BadIllegalAddress: "Bad: illegal address", "bad:exception:server_device_busy": "Bad: exception: server device busy", "uncertain": "Uncertain", "": "Not read yet", "bad": "Bad"} {
		if got := QualityPill(in).Text; got != want {
			t.Errorf("%q is called %q, want %q", in, got, want)
		}
	}
	for in, want := range map[int64]string{0: "0", 999: "999", 1000: "1\u202f000", -1234567: "-1\u202f234\u202f567"} {
		if got := Group(in); got != want {
			t.Errorf("%d is written %q", in, got)
		}
	}
}
