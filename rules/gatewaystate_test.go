package rules

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

// What a gateway says of itself becomes alarms and tickets: a buffer that fills with the time left, a disk
// that is too small, a configuration that was not kept. It is judged as of now, however old the heartbeat is.
func TestGatewayState(t *testing.T) {
	set, err := Library()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	p, err := NewPlayer(t.Context(), set, Stage{Positions: []faultline.Position{{Site: "north", ID: "P-1", Kind: "pump", Gateway: "gw-1"}}}, start)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	now, sequence := start, uint64(0)
	say := func(s faultline.GatewayState, seconds int) {
		t.Helper()
		state, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		for range seconds {
			now = now.Add(time.Second)
			sequence++
			old, err := json.Marshal(faultline.Heartbeat{Site: "north", Gateway: "gw-1", At: now.Add(-24 * time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Play(t.Context(), faultline.Message{Kind: faultline.KindHeartbeat, Site: "north", StoredAt: now, Payload: old, State: state,
				ID: faultline.FrameID{Gateway: "gw-1", Epoch: "e", Sequence: sequence}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	alarm := func(rule string) faultline.Alarm {
		t.Helper()
		a, err := p.Store().Alarm(t.Context(), faultline.AlarmID("north", "gw-1", rule))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	say(faultline.GatewayState{BufferUsed: 65}, 20)
	say(faultline.GatewayState{BufferUsed: 71, BufferLeft: 5*time.Hour + time.Minute}, 12)
	if a := alarm("gateway-buffer"); !a.Active || a.Severity != faultline.SeverityWarning || !strings.Contains(a.Why, "71 %") || !strings.Contains(a.Why, "5 hours") || a.Ticket == "" {
		t.Errorf("%+v", a)
	}
	say(faultline.GatewayState{BufferUsed: 91, BufferLeft: 30 * time.Minute, DiskShort: true, Config: 3, Refused: 4, Why: "P-1 fell silent"}, 70)
	if a := alarm("gateway-buffer"); a.Severity != faultline.SeverityCritical || !strings.Contains(a.Why, "30 minutes") {
		t.Errorf("%+v", a)
	}
	if a := alarm("gateway-disk"); !a.Active {
		t.Errorf("%+v", a)
	}
	if a := alarm("gateway-config"); !a.Active || !strings.Contains(a.Why, "version 4") || !strings.Contains(a.Why, "P-1 fell silent") {
		t.Errorf("%+v", a)
	}
	say(faultline.GatewayState{BufferUsed: 2, Config: 4}, 130)
	for _, r := range []string{"gateway-buffer", "gateway-disk", "gateway-config"} {
		if a := alarm(r); a.Active {
			t.Errorf("%s is still active: %s", r, a.Why)
		}
	}
}
