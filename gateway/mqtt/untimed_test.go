package mqtt

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/faultline-iot/faultline"
)

// TestUnusableDeviceTime: a reading whose time cannot be used is kept at the time of arrival, but not
// as good: it may have been measured long ago.
func TestUnusableDeviceTime(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct{ time, reason string }{
		{`"ts":"1970-01-01T00:00:07Z"`, timeImplausible},
		{`"ts":"2030-05-01T12:00:00Z"`, timeImplausible},
		{`"ts":"9999-01-01T00:00:00Z"`, timeImplausible},
		{`"ts":"0001-01-01T00:00:00Z"`, timeImplausible},
		{`"ts":7`, timeImplausible},
		{`"ts":"2026-03-30T12:00:00Z"`, timeImplausible}, // more than a month old
		{`"ts":"2026-05-01T12:01:10Z"`, timeImplausible}, // more than a minute ahead
		{`"other":1`, timeMissing},
		{`"ts":null`, timeMissing},
		{`"ts":0`, timeUnreadable},
		{`"ts":-5`, timeUnreadable},
		{`"ts":"yesterday"`, timeUnreadable},
		{`"ts":true`, timeUnreadable},
		{`"ts":{}`, timeUnreadable},
		{`"ts":"2026-05-01T11:59:58Z"`, ""},
	} {
		m, s := NewMetrics(nil), newSink()
		cfg := Config{Metrics: m, Stamp: func(string) (time.Time, faultline.Quality) { return now, faultline.Good }, Devices: []Device{
			{Position: "T", Topic: "plant/T", Profile: gauge(true)}, {Position: "N", Topic: "plant/N", Profile: gauge(false)},
		}}
		cfg.fill("test", "test")
		r, err := newReceiver(cfg)
		if err != nil {
			t.Fatal(err)
		}
		r.emit = s.emit
		send := func(topic string, n int) {
			t.Helper()
			if err := r.receive(t.Context(), packet{topic: topic, payload: fmt.Appendf(nil, `{"v":88,"on":"?",%s,"n":%d}`, c.time, n)}); err != nil {
				t.Fatal(err)
			}
		}
		send("plant/T/data", 1)
		send("plant/T/data", 1) // sent again
		send("plant/T/data", 2) // the same values, measured anew
		send("plant/N/data", 1) // its profile knows of no time
		all := s.all()
		times := map[string]float64{}
		for _, reason := range []string{timeMissing, timeUnreadable, timeImplausible} {
			if n := testutil.ToFloat64(m.untimed.WithLabelValues(reason)); n != 0 {
				times[reason] = n
			}
		}
		if c.reason == "" {
			if len(all) != 2 || !value(all[0], "v").Quality.IsGood() || all[0].frame.Time.Equal(now) || len(times) != 0 {
				t.Errorf("%s: %+v, counted %v", c.time, all, times)
			}
			continue
		}
		if len(all) != 3 {
			t.Fatalf("%s: %d frames: %+v", c.time, len(all), all)
		}
		for _, st := range all[:2] {
			if v := value(st, "v"); v.Quality != faultline.UncertainClock || v.Value != faultline.Float(88) || !st.frame.Time.Equal(now) {
				t.Errorf("%s: %+v at %v", c.time, v, st.frame.Time)
			}
			if q := value(st, "on").Quality; q != faultline.BadDecode {
				t.Errorf("%s: a bad sample became %s", c.time, q)
			}
		}
		if q := value(all[2], "v").Quality; !q.IsGood() {
			t.Errorf("%s: without a time in the profile it is %s", c.time, q)
		}
		if len(times) != 1 || times[c.reason] != 2 {
			t.Errorf("%s: counted %v, want 2 %s", c.time, times, c.reason)
		}
	}
}
