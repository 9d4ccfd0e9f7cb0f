package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	faultline "github.com/faultline-iot/faultline"
)

const writePath = "/api/v1/assets/plant-3/P-101/points/"

func TestWrite(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	a := f.do(http.MethodPost, writePath+"speed_setpoint/write", `{"value":62.5,"reason":"less demand","id":"w-1"}`)
	w := decode[faultline.Write](t, a)
	if a.code != http.StatusOK || w.Status != faultline.WriteWritten || string(w.Old) != "40" || string(w.ReadBack) != "5" || w.AskedBy != "local" || w.EndedAt.IsZero() {
		t.Errorf("%d %+v", a.code, w)
	}
	// The same request again is the same write.
	again := decode[faultline.Write](t, f.do(http.MethodPost, writePath+"speed_setpoint/write", `{"value":62.5,"reason":"less demand","id":"w-1"}`))
	if again.ID != w.ID || again.Status != faultline.WriteWritten {
		t.Errorf("%+v", again)
	}
	if a := f.do(http.MethodPost, writePath+"speed_setpoint/write", `{"value":63,"reason":"another","id":"w-1"}`); a.code != http.StatusConflict {
		t.Errorf("another write with its id: %d", a.code)
	}
	if len(f.bus.orders) != 1 || string(f.bus.orders[0].Value) != "62.5" || f.bus.orders[0].By != "local" || !f.bus.orders[0].Deadline.After(noon) {
		t.Errorf("%+v", f.bus.orders)
	}
	events := decode[Page[faultline.WriteEvent]](t, f.get("/api/v1/writes/w-1/events")).Items
	if len(events) != 2 || events[0].Status != faultline.WriteSending || events[0].Text != "less demand" || events[1].Status != faultline.WriteWritten || events[1].By != "gateway gw-1" {
		t.Errorf("%+v", events)
	}
	for body, code := range map[string]int{
		`{"value":100.5,"reason":"x"}`: http.StatusBadRequest, `{"value":62.3,"reason":"x"}`: http.StatusBadRequest, `{"value":"62","reason":"x"}`: http.StatusBadRequest,
		`{"value":true,"reason":"x"}`: http.StatusBadRequest, `{"reason":"x"}`: http.StatusBadRequest, `{"value":62}`: http.StatusBadRequest, `{"value":62,"reason":"x","id":"../y"}`: http.StatusBadRequest,
	} {
		if a := f.do(http.MethodPost, writePath+"speed_setpoint/write", body); a.code != code {
			t.Errorf("%s: %d %s", body, a.code, a.body)
		}
	}
	if a := f.do(http.MethodPost, writePath+"vibration/write", `{"value":1,"reason":"x"}`); a.code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "may not be written") {
		t.Errorf("%d %s", a.code, a.body)
	}
	if a := f.do(http.MethodPost, writePath+"nothing/write", `{"value":1,"reason":"x"}`); a.code != http.StatusNotFound {
		t.Errorf("%d %s", a.code, a.body)
	}
	if len(f.bus.orders) != 1 {
		t.Errorf("%d orders: what is refused here is not sent", len(f.bus.orders))
	}
}

// A write that wants four eyes waits; who asked cannot approve; a second person can; it expires.
func TestFourEyes(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	a := f.do(http.MethodPost, writePath+"run_command/write", `{"value":false,"reason":"service","id":"w-1"}`)
	w := decode[faultline.Write](t, a)
	if a.code != http.StatusAccepted || w.Status != faultline.WritePending || !w.ExpiresAt.Equal(noon.Add(faultline.ApprovalTime)) || len(f.bus.orders) != 0 {
		t.Errorf("%d %+v", a.code, w)
	}
	if a := f.do(http.MethodPost, "/api/v1/writes/w-1/approve", `{}`); a.code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "second person") {
		t.Errorf("approved by who asked: %d %s", a.code, a.body)
	}
	if a := f.do(http.MethodPost, "/api/v1/writes/W-1/withdraw", `{}`); a.code != http.StatusUnprocessableEntity {
		t.Errorf("withdrawn by another: %d %s", a.code, a.body)
	}
	w = decode[faultline.Write](t, f.do(http.MethodPost, "/api/v1/writes/W-1/approve", `{"reason":"agreed"}`)) // anna asked
	if w.Status != faultline.WriteWritten || w.DecidedBy != "local" || len(f.bus.orders) != 1 || f.bus.orders[0].Approved != "local" || f.bus.orders[0].By != "anna" {
		t.Errorf("%+v", w)
	}
	if a := f.do(http.MethodPost, "/api/v1/writes/W-1/approve", `{}`); a.code != http.StatusConflict || len(f.bus.orders) != 1 {
		t.Errorf("approved twice: %d %s", a.code, a.body)
	}
	if w = decode[faultline.Write](t, f.do(http.MethodPost, "/api/v1/writes/W-2/refuse", `{"reason":"not now"}`)); w.Status != faultline.WriteRefused {
		t.Errorf("%+v", w)
	}
	page := f.get("/assets/plant-3/P-101").body
	for _, want := range []string{"/writes/w-1/withdraw", "Waits for approval", "a second person must approve", `action="/assets/plant-3/P-101/points/speed_setpoint/write"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the asset's page does not show %q", want)
		}
	}
	f.now = func() time.Time { return noon.Add(faultline.ApprovalTime + time.Second) }
	if a := f.do(http.MethodPost, "/api/v1/writes/W-3/withdraw", `{}`); a.code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "nobody approved it") {
		t.Errorf("%d %s", a.code, a.body)
	}
	must(t, f.settleWrites(t.Context()))
	for _, id := range []string{"W-3", "w-1"} {
		if w := decode[faultline.Write](t, f.get("/api/v1/writes/"+id)); w.Status != faultline.WriteExpired {
			t.Errorf("%s: %+v", id, w)
		}
	}
	if list := decode[Page[faultline.Write]](t, f.get("/api/v1/writes?open=true")); list.Total != 0 {
		t.Errorf("%+v", list)
	}
}

// A write whose process ended on its way is not known, and is said so.
func TestLostWrite(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	w := faultline.Write{ID: "lost", Site: "plant-3", Position: "P-101", Point: "speed_setpoint", Gateway: "gw-1", Value: []byte("5"), Status: faultline.WriteSending, AskedBy: "anna", AskedAt: noon, SentAt: noon, Reason: "x"}
	must(t, f.store.AddWrite(t.Context(), w, "x"))
	must(t, f.settleWrites(t.Context()))
	if w, err := f.store.Write(t.Context(), "lost"); err != nil || w.Status != faultline.WriteSending {
		t.Errorf("%+v, %v", w, err)
	}
	f.now = func() time.Time { return noon.Add(2 * lostAfter) }
	must(t, f.settleWrites(t.Context()))
	if w, err := f.store.Write(t.Context(), "lost"); err != nil || w.Status != faultline.WriteUnknown || !strings.Contains(w.Message, "look at the equipment") {
		t.Errorf("%+v, %v", w, err)
	}
}

func TestWriteForms(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	a := f.form("/assets/plant-3/P-101/points/speed_setpoint/write", "value=62,5&reason=less+demand")
	if a.code != http.StatusSeeOther || len(f.bus.orders) != 1 || string(f.bus.orders[0].Value) != "62.5" {
		t.Errorf("%d %+v", a.code, f.bus.orders)
	}
	if page := f.landed(a).body; !strings.Contains(page, "Written, and read back as 5") {
		t.Error("what became of it is not shown")
	}
	f.bus.told = faultline.WriteAnswer{Status: faultline.WriteUnknown, Message: "it is not known whether it was written"}
	a = f.form("/assets/plant-3/P-101/points/speed_setpoint/write", "value=60&reason=x")
	if page := f.landed(a).body; !strings.Contains(page, "notice bad") || !strings.Contains(page, "Not known") {
		t.Error("an unknown outcome is not shown as one")
	}
	for _, body := range []string{"value=abc&reason=x", "value=&reason=x", "value=200&reason=x", "value=50&reason="} {
		a := f.form("/assets/plant-3/P-101/points/speed_setpoint/write", body)
		if page := f.landed(a).body; a.code != http.StatusSeeOther || !strings.Contains(page, "notice bad") || len(f.bus.orders) != 2 {
			t.Errorf("%s: %d", body, a.code)
		}
	}
	a = f.form("/writes/W-1/approve", "back=/writes")
	if page := f.landed(a).body; len(f.bus.orders) != 3 || !strings.Contains(page, "Writes") {
		t.Errorf("%d", a.code)
	}
}

// landed is the page that a form leads to.
func (f *fixture) landed(a answered) answered {
	to, _, _ := strings.Cut(a.header.Get("Location"), "#")
	return f.get(to)
}
