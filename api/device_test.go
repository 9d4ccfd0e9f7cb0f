package api

import (
	"errors"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
	"github.com/faultline-iot/faultline/internal/tsdb"
)

func healthFrame(position string, at time.Time, reachable bool, p99 float64, bad int64) faultline.Frame {
	sample := func(point string, v faultline.Value) faultline.Sample {
		return faultline.Sample{Point: point, Value: v, Quality: faultline.Good}
	}
	return faultline.Frame{Kind: faultline.HealthKind, Site: "plant-3", Position: position, Gateway: "gw-1", Time: at, Samples: []faultline.Sample{
		sample("reachable", faultline.Bool(reachable)), sample("readings", faultline.Int(1000)), sample("good", faultline.Int(900)), sample("uncertain", faultline.Int(0)),
		sample("bad", faultline.Int(bad)), sample("latency_p50_ms", faultline.Float(p99/4)), sample("latency_p99_ms", faultline.Float(p99)),
		sample("last_good_age_s", faultline.Float(12)), sample("errors_timeout", faultline.Int(bad)), sample("errors_illegal_address", faultline.Int(0)),
	}}
}

// Device health arrives live beside the readings, is no reading itself, and makes the list, worst first.
func TestDevices(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	f.takeFrame(healthFrame("P-101", noon.Add(-5*time.Second), true, 18.5, 3))
	f.takeFrame(healthFrame("E-401", noon.Add(-5*time.Second), true, 40, 0))
	f.takeFrame(healthFrame("C-201", noon.Add(-5*time.Second), false, 7, 100))
	f.takeFrame(healthFrame("C-201", noon.Add(-25*time.Second), true, 7, 0)) // came late
	if readings, _ := f.latest.readings("plant-3", "P-101"); len(readings) != 7 {
		t.Errorf("%d readings: health is no reading of the equipment", len(readings))
	}
	list := decode[Page[Device]](t, f.get("/api/v1/devices"))
	var order []string
	for _, d := range list.Items {
		order = append(order, d.ID+" "+string(d.Status))
	}
	if got := strings.Join(order, ", "); got != "C-201 failure, P-101 failure, E-401 good, U-1 " {
		t.Errorf("%s", got)
	}
	d := decode[Device](t, f.get("/api/v1/devices/plant-3/P-101"))
	if h := d.Health; h == nil || !h.Reachable || h.LatencyP99 != 18.5 || h.Errors["timeout"] != 3 || !h.LastGood.Equal(noon.Add(-17*time.Second)) || h.Stale {
		t.Errorf("%+v", d.Health)
	}
	if d.Why != "Bearing temperature high" {
		t.Errorf("why %q", d.Why)
	}
	for query, want := range map[string]int{"?status=good": 1, "?status=not_heard": 1, "?gateway=gw-2": 1, "?site=plant-3": 3, "?status=failure&gateway=gw-2": 0} {
		if got := decode[Page[Device]](t, f.get("/api/v1/devices"+query)); got.Total != want {
			t.Errorf("%s: %d devices, want %d", query, got.Total, want)
		}
	}
	if a := f.get("/api/v1/devices?status=bad"); a.code != http.StatusBadRequest {
		t.Errorf("%d", a.code)
	}
	page := f.get("/devices").body
	for _, want := range []string{"ne-F", "Not reachable", "18 ms", "10.0 %", "Timeout", "Not heard yet", "C-201"} {
		if !strings.Contains(page, want) {
			t.Errorf("the list does not show %q", want)
		}
	}
	if strings.Index(page, ">C-201<") > strings.Index(page, ">E-401<") {
		t.Error("the worst is not first")
	}
	page = f.get("/devices/plant-3/P-101?range=24h").body
	for _, want := range []string{"ne-F", "Reachable", "Slowest 1 % of answers", "<svg"} {
		if !strings.Contains(page, want) {
			t.Errorf("the device's page does not show %q", want)
		}
	}
	if page = f.get("/assets/plant-3/E-401").body; !strings.Contains(page, "ne-G") || !strings.Contains(page, "40 ms") {
		t.Error("the asset's page does not show its device")
	}
	f.series.err = errors.New("down")
	if a := f.get("/devices/plant-3/P-101"); a.code != http.StatusOK || !strings.Contains(a.body, "cannot be read at the moment") {
		t.Errorf("%d without the history", a.code)
	}
}

// What is out of service as a whole is under check, whatever its values are; one alarm that is, is not.
func TestCheckFunction(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	status := func() faultline.NE107 {
		return decode[Asset](t, f.get("/api/v1/assets/plant-3/P-101")).Status
	}
	out := func(rule string) {
		a, err := f.store.Alarm(t.Context(), faultline.AlarmID("plant-3", "P-101", rule))
		must(t, err)
		a.OutOfService = "anna: new bearing"
		f.inTx(t, func(tx *store.Tx) error { return tx.PutAlarm(a) })
	}
	if got := status(); got != faultline.NE107Failure {
		t.Errorf("%q with a critical alarm", got)
	}
	out("vibration")
	if got := status(); got != faultline.NE107Failure {
		t.Errorf("%q with one of two alarms out of service", got)
	}
	out("bearing-temperature")
	if got := status(); got != faultline.NE107Check {
		t.Errorf("%q out of service", got)
	}
	a := decode[Asset](t, f.get("/api/v1/assets/clinic/U-1"))
	if a.Status != faultline.NE107NotConnected || !a.NoData {
		t.Errorf("%q, no data %v: never heard", a.Status, a.NoData)
	}
}

// An asset that is silent and has an alarm of it shows both.
func TestNoDataBesideAnAlarm(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	f.now = func() time.Time { return noon.Add(10 * time.Minute) }
	a := decode[Asset](t, f.get("/api/v1/assets/plant-3/P-101"))
	if a.State != AssetCritical || !a.NoData || a.Status != faultline.NE107Failure || a.Why != "it does not answer" {
		t.Errorf("%s, no data %v, %s: %s", a.State, a.NoData, a.Status, a.Why)
	}
	for _, page := range []string{"/assets?text=P-101", "/assets/plant-3/P-101", "/assets?state=no_data&text=P-101"} {
		if body := f.get(page).body; !strings.Contains(body, `>Critical</span> <span class="pill no_data">No data<`) {
			t.Errorf("%s does not show both", page)
		}
	}
}

func TestAdded(t *testing.T) {
	nan := math.NaN()
	h := tsdb.PointHistory{Value: []float64{nan, 100, 100, 130, nan, 140, 4, 9}}
	added(&h)
	for i, want := range []float64{nan, 0, 0, 30, nan, 10, 4, 5} {
		if got := h.Value[i]; got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("%d: %v, want %v", i, got, want)
		}
	}
}

func FuzzReadHealth(f *testing.F) {
	f.Add("errors_timeout", 3.0, true)
	f.Add("last_good_age_s", 1e300, false)
	f.Add("latency_p99_ms", -1.0, false)
	f.Fuzz(func(t *testing.T, point string, v float64, whole bool) {
		value := faultline.Float(v)
		if whole {
			value = faultline.Int(int64(v))
		}
		h := readHealth(&faultline.Frame{Time: noon, Samples: []faultline.Sample{{Point: point, Value: value, Quality: faultline.Good}, {Point: "reachable", Quality: faultline.BadTimeout}}})
		if h.Errors == nil || h.Reachable && point != "reachable" || h.LastGood.After(noon) {
			t.Errorf("%+v", h)
		}
	})
}
