package api

import (
	"strings"
	"testing"
	"time"

	faultline "github.com/faultline-iot/faultline"
)

// What a gateway says of its configuration is in the API and on the page of devices.
func TestGatewayConfiguration(t *testing.T) {
	f := newFixture(t)
	at := time.Now().Add(time.Hour)
	refused := &faultline.GatewayState{Config: 2, Refused: 3, Why: "devices[0].profile: <none>"}
	must(t, f.store.TouchGateway(t.Context(), faultline.Gateway{ID: "gw-1", Site: "plant-3", LastSeen: at, State: refused}))
	must(t, f.store.TouchGateway(t.Context(), faultline.Gateway{ID: "gw-2", Site: "clinic", LastSeen: at, State: &faultline.GatewayState{Config: 7}}))
	for _, g := range decode[Page[Gateway]](t, f.get("/api/v1/gateways")).Items {
		if g.ID == "gw-1" && (g.State == nil || *g.State != *refused) {
			t.Errorf("%+v", g)
		}
	}
	page := f.get("/devices").body
	for _, want := range []string{"Version 3 refused", "version 2 runs: devices[0].profile: &lt;none&gt;", "Version 7"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}
