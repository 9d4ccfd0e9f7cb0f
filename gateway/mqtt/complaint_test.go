package mqtt

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// lines is a log to look at.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(p))
	return len(p), nil
}

func (l *lines) with(parts ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.all {
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) }) {
			n++
		}
	}
	return n
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func TestComplaintsAreToldOnce(t *testing.T) {
	l := &lines{}
	c := newComplaints(l.logger())
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	wrong := func(at time.Duration, detail string) { c.wrong(start.Add(at), "position", "G", "r", detail, "wrong") }
	check := func(what string, warnings, infos int) {
		t.Helper()
		if w, i := l.with("level=WARN"), l.with("level=INFO"); w != warnings || i != infos {
			t.Fatalf("%s: %d warnings, %d infos, want %d and %d: %q", what, w, i, warnings, infos, l.all)
		}
	}
	c.right("G", "r")
	check("nothing yet", 0, 0)
	for i := range 600 { // ten minutes of it
		wrong(time.Duration(i)*time.Second, "")
	}
	check("goes on", 1, 0)
	c.wrong(start, "position", "H", "r", "", "wrong")
	c.wrong(start, "user", "G", "r", "", "wrong")
	check("another device, and a user of the same name", 3, 0)
	c.right("G", "r", "other")
	c.right("G", "r")
	check("over", 3, 1)
	if l.with("not_logged=599") != 1 {
		t.Errorf("not counted: %q", l.all)
	}
	wrong(10*time.Minute, "")
	check("anew", 4, 1)
	for i := range 59 { // comes and goes
		c.right("G", "r")
		wrong(10*time.Minute+time.Duration(i+1)*time.Second, "")
	}
	check("not again within a minute", 4, 2)
	wrong(11*time.Minute, "")
	check("it did not end", 5, 2)
	if l.with("not_logged=59", "WARN") != 1 {
		t.Errorf("not counted: %q", l.all)
	}
	wrong(13*time.Minute, "other")
	check("another one", 6, 2)
	wrong(14*time.Minute, "other")
	wrong(80*time.Minute, "other")
	check("after a quiet hour", 7, 2)
}

// TestRejectedPayloadsAreLogged sends what is wrong over the wire; each is told once.
func TestRejectedPayloadsAreLogged(t *testing.T) {
	l := &lines{}
	s := newSink()
	address, stop := listen(t, Config{Log: l.logger(), Devices: []Device{
		{Position: "G", Topic: "plant/G", Username: "plant", Profile: gauge(true)}, {Position: "H", Topic: "plant/H", Profile: gauge(false)},
	}}, s.emit)
	c := mustDial(t, address)
	good := func(n int) string {
		return fmt.Sprintf(`{"v":%d,"on":true,"ts":%d,"n":%[1]d}`, n, time.Now().UnixMilli())
	}
	publish(t, c, "plant/G/data", good(0))
	for i := range 3 {
		publish(t, c, "plant/G/data", `{"v":`)
		publish(t, c, "plant/H/data", `{"v": "`+strings.Repeat("x", DefaultMaxPayload)+`"}`)
		publish(t, c, "plant/H/data", fmt.Sprintf(`broken %d`, i))
	}
	for i := range 3 {
		publish(t, c, "plant/G/data", fmt.Sprintf(`{"v":1,"on":true,"ts":"9999-01-01T00:00:00Z","n":%d}`, 10+i))
	}
	publish(t, c, "plant/G/data", good(99))
	other, err := dial(t, address, "other", nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		publish(t, other, "free/nobody", "x")
	}
	for range 2 { // refused, which ends the connection of an old client
		if other, err = dial(t, address, "other", func(o *paho.ClientOptions) { o.SetClientID("refused") }); err != nil {
			t.Fatal(err)
		}
		other.Publish("plant/G/data", 0, false, good(5))
		publish(t, other, "plant/H/data", `{"v":3,"on":true}`) // what came before it was judged
	}
	stop()
	for _, want := range []struct {
		n     int
		parts []string
	}{
		{1, []string{"WARN", "position=G", "reason=undecodable"}},
		{1, []string{"INFO", "position=G", "reason=undecodable", "not_logged=2"}},
		{1, []string{"WARN", "position=H", "reason=undecodable"}},
		{1, []string{"WARN", "position=H", "reason=oversized"}},
		{1, []string{"WARN", "position=G", "reason=device_time", "time=implausible", "9999-01-01"}},
		{1, []string{"INFO", "position=G", "reason=device_time", "not_logged=2"}},
		{1, []string{"WARN", "user=other", "reason=topic"}}, // the second topic came within a minute
		{1, []string{"WARN", "topic=free/nobody"}},
		{4 + 1, []string{"WARN"}},
	} {
		if n := l.with(want.parts...); n != want.n {
			t.Errorf("%d lines with %q, want %d: %s", n, want.parts, want.n, strings.Join(l.all, ""))
		}
	}
}

// TestRefusedTopicIsLogged: a topic that its user may not publish to.
func TestRefusedTopicIsLogged(t *testing.T) {
	l := &lines{}
	address, stop := listen(t, Config{Log: l.logger(), Devices: []Device{{Position: "G", Topic: "plant/G", Profile: gauge(true)}}}, newSink().emit)
	c := mustDial(t, address)
	for range 3 {
		c.Publish("plant/G/wrong", 0, false, "1")
	}
	publish(t, c, "plant/G/data", `{"v":3,"on":true}`) // those before it were judged
	stop()
	if l.with("WARN", "user=plant", "reason=topic", "topic=plant/G/wrong") != 1 {
		t.Errorf("%q", l.all)
	}
}
