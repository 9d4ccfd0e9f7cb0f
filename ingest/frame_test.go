package ingest

import (
	"testing"
	"time"

	"github.com/influxdata/influxdb/models"

	"github.com/faultline-iot/faultline"
)

// FuzzCheck looks whether InfluxDB's own parser finds in every frame that passes the check what the
// check has found: one point of the series that the message's headers name, at that time, with those
// fields. A line that means something else to each of the two could write into another's series.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{
		`pump,gateway=g1,position=P-1,site=s1 v=1,w__q="bad:timeout" 1700000000000000000`,
		`pump,gateway=g1,position=P-1,site=s1 a=1i,b=-0.5e-7,c=true,d="x \"y\" \\ z",d__q="uncertain:clock" 1`,
		`pump,gateway=g1,position=P-1,site=s1 d="a=1,b=2 c" -1`,
		`pump,gateway=g1,position=P-1,site=s1 d="\",x=1 5` + "\n" + `pump v=1" 7`,
		`pump,gateway=g1,position=P-1,site=s1 v=1. 1`,
		`pump,gateway=g1,position=P-1,site=s1 v=1,time=2 1`,
	} {
		f.Add([]byte(s))
	}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, payload []byte) {
		m := faultline.Message{Kind: faultline.KindFrame, StoredAt: at, Site: "s1", Position: "P-1", ID: faultline.FrameID{Gateway: "g1", Epoch: "e", Sequence: 1}, Payload: payload}
		var c checker
		frame, err := c.check(&m)
		if err != nil {
			_ = deadLetter(&m, err)
			return
		}
		var l lines
		l.add(line{msg: &m})
		points, err := models.ParsePointsWithPrecision(l.buf, at, "n")
		if err != nil {
			return // InfluxDB refuses it: a dead letter
		}
		if len(points) != 1 {
			t.Fatalf("%q is %d points", payload, len(points))
		}
		p := points[0]
		if p.Time().UnixNano() != frame.Time.UnixNano() || string(p.Name()) != frame.Kind {
			t.Fatalf("%q is %s at %v, checked as %s at %v", payload, p.Name(), p.Time(), frame.Kind, frame.Time)
		}
		if tags := p.Tags().Map(); len(tags) != 3 || tags["site"] != "s1" || tags["position"] != "P-1" || tags["gateway"] != "g1" {
			t.Fatalf("%q has tags %v", payload, tags)
		}
		fields, err := p.Fields()
		if err != nil {
			return
		}
		for _, s := range frame.Samples {
			v, q := fields[s.Point], fields[s.Point+"__q"]
			delete(fields, s.Point)
			delete(fields, s.Point+"__q")
			if s.Value.Any() != v || !s.Quality.IsGood() && q != string(s.Quality) || s.Quality.IsGood() && q != nil {
				t.Fatalf("%q: %s is %#v with %v, checked as %#v with %s", payload, s.Point, v, q, s.Value.Any(), s.Quality)
			}
		}
		if len(fields) != 0 {
			t.Fatalf("%q has fields %v that were not checked", payload, fields)
		}
	})
}
