package rules

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

const peerRules = `
rules:
  - id: bearing-peers
    title: Bearing hotter than at the other pumps
    kind: peer
    asset_kind: centrifugal_pump
    point: bearing_temperature_de
    within: 1m
    load: motor_power
    tolerance: 3
    least: 8
    side: high
    while: running
    severity: warning
    failure_mode: bearing_hot
    family: bearing
`

// peerPlant is a plant of pumps whose worker's windows go into its stream.
type peerPlant struct{ *plant }

func newPeerPlant(t *testing.T, positions ...string) peerPlant {
	t.Helper()
	set, err := Load(nil, File{"peers.yaml", []byte(peerRules)})
	if err != nil {
		t.Fatal(err)
	}
	p := peerPlant{newPlant(t, set)}
	for _, id := range positions {
		p.pump(id)
	}
	return p
}

func (p peerPlant) pump(id string) {
	p.t.Helper()
	p.position(id, "centrifugal_pump", faultline.CriticalityB)
	p.values[id]["running"], p.values[id]["motor_power"] = "true", "20"
	p.values[id]["bearing_temperature_de"] = "67"
}

func (p peerPlant) run(seconds int) {
	p.t.Helper()
	for range seconds {
		p.second()
		for _, c := range p.worker.shares.take() {
			payload, err := json.Marshal(c)
			if err != nil {
				p.t.Fatal(err)
			}
			p.append(faultline.Message{Kind: faultline.KindCommand, Payload: payload})
		}
		p.feed(p.worker.place)
	}
}

func (p peerPlant) heat(id, value string) { p.values[id]["bearing_temperature_de"] = value }

// alarm gives an alarm as "state count why", or "" if it was never raised.
func (p peerPlant) alarm(id string) string {
	p.t.Helper()
	a, err := p.store.Alarm(p.t.Context(), faultline.AlarmID("plant", id, "bearing-peers"))
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s %d %s", a.State(p.now), a.Count, a.Why)
}

func (p peerPlant) expect(when string, want map[string]string) {
	p.t.Helper()
	for i := range p.positions {
		id := p.positions[i].ID
		if got := p.alarm(id); got != want[id] && (want[id] == "" || !strings.HasPrefix(got, want[id])) {
			p.t.Errorf("%s: %s: %q, want %q", when, id, got, want[id])
		}
	}
}

// lastWindow lists the positions of the newest window in the stream.
func (p peerPlant) lastWindow() string {
	var list []string
	for _, m := range p.log {
		var c faultline.Command
		if m.Kind == faultline.KindCommand && json.Unmarshal(m.Payload, &c) == nil && c.Peers != nil {
			list = nil
			for _, mean := range c.Peers.Means {
				list = append(list, mean.Position)
			}
		}
	}
	return strings.Join(list, " ")
}

// tellOfPeers is a quarter of an hour of pumps in which most things happen.
func tellOfPeers(t *testing.T) peerPlant {
	p := newPeerPlant(t, "P-1", "P-2", "P-3", "P-4", "P-5")
	p.heat("P-2", "66")
	p.heat("P-4", "68.5")
	p.run(119) // so that what follows begins with a window
	p.expect("all alike", nil)

	p.heat("P-3", "81")
	p.run(120)
	p.expect("one is hot", map[string]string{
		"P-3": "UNACK 1 bearing temperature, drive end 81 °C, 14 °C above the median 67 °C of 4 peers at like load: 8.8 times the spread of 1.6 °C in means of 60 s, at motor power 20 kW ± 3 kW, while running"})

	p.heat("P-3", "67")
	p.run(120)
	p.expect("it is well again", map[string]string{"P-3": "RTNUN 1"})

	p.heat("P-1", "bad:timeout")
	p.silent["P-2"] = true
	p.heat("P-3", "90")
	p.run(120)
	if got := p.lastWindow(); got != "P-3 P-4 P-5" {
		t.Errorf("compared were %s: bad data and silence are no peers", got)
	}
	p.expect("two peers are too few", map[string]string{"P-3": "RTNUN 1"})

	p.pump("P-6") // one more makes three
	p.run(120)
	if got := p.lastWindow(); got != "P-3 P-4 P-5 P-6" {
		t.Errorf("compared were %s", got)
	}
	p.expect("with the new one", map[string]string{"P-3": "UNACK 2 bearing temperature, drive end 90 °C, 23 °C above the median 67 °C of 3 peers"})

	p.values["P-4"]["motor_power"], p.values["P-3"]["running"] = "60", "false"
	p.heat("P-4", "95")
	p.silent["P-2"] = false
	p.run(120)
	p.expect("another load, and one that stands still", map[string]string{"P-3": "RTNUN 2"})
	return p
}

// The same stream gives the same alarms, however often the worker is restarted and wherever; also on
// another store.
func TestPeersReplay(t *testing.T) {
	straight := tellOfPeers(t)
	want := straight.account()
	log := straight.log
	for seed := range uint64(3) {
		again := newPeerPlant(t)
		again.now = straight.now
		for _, pos := range straight.positions {
			if err := again.store.PutPosition(t.Context(), pos); err != nil {
				t.Fatal(err)
			}
		}
		again.random = rand.New(rand.NewPCG(seed, 8))
		for n := 0; n < len(log); {
			n = min(n+1+again.random.IntN(200), len(log))
			again.log = log[:n]
			again.plant.pump()
		}
		again.random = nil
		again.plant.pump()
		same(t, fmt.Sprintf("restarts at random, seed %d", seed), again.account(), want)
	}
}

// Where a position is gone, the others go on with those that are left.
func TestPeerRemoved(t *testing.T) {
	p := newPeerPlant(t, "P-1", "P-2", "P-3", "P-4", "P-5")
	p.run(119)
	gone := p.positions[4]
	gone.Kind = "valve" // another asset stands there now
	p.positions = p.positions[:4]
	if err := p.store.PutPosition(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	p.restart()
	p.heat("P-2", "81")
	p.run(120)
	if got := p.lastWindow(); got != "P-1 P-2 P-3 P-4" {
		t.Errorf("compared were %s", got)
	}
	p.expect("four are left", map[string]string{"P-2": "UNACK 1 bearing temperature, drive end 81 °C, 14 °C above the median 67 °C of 3 peers"})
}

// A window that was put into the stream twice, or of a rule that is no more, changes nothing.
func TestPeersOnce(t *testing.T) {
	p := newPeerPlant(t, "P-1", "P-2", "P-3", "P-4")
	p.heat("P-2", "81")
	p.run(125)
	want := p.account()
	var last faultline.Message
	for _, m := range p.log {
		if m.Kind == faultline.KindCommand {
			last = m
		}
	}
	for _, payload := range []string{string(last.Payload), strings.Replace(string(last.Payload), "bearing-peers", "another", 1), `{"verb":"peers","site":"plant"}`} {
		last.Payload = []byte(payload)
		p.append(last)
	}
	p.feed(p.worker.place)
	same(t, "told again", p.account(), want)
	if !strings.Contains(want, "raised") {
		t.Error("nothing was raised")
	}
}

// A window waits a while for assets that are behind, and no longer.
func TestPeerPatience(t *testing.T) {
	g := &peerGroup{peerKey: peerKey{within: time.Minute}}
	for within, want := range map[time.Duration]time.Duration{time.Minute: 6 * time.Second, 10 * time.Second: 5 * time.Second, time.Hour: time.Minute} {
		if g.within = within; g.patience() != want {
			t.Errorf("%v: %v, want %v", within, g.patience(), want)
		}
	}
	if id := g.commandID(30_000_000); faultline.CheckName("command id", id) != nil {
		t.Errorf("the stream refuses %q", id)
	}
}
