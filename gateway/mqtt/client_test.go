package mqtt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"

	"github.com/faultline-iot/faultline"
)

// broker is one that we did not write, with sessions that outlive connections.
func broker(t *testing.T, address string) (string, *mochi.Server) {
	t.Helper()
	s := mochi.New(&mochi.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), InlineClient: true})
	if err := s.AddHook(new(auth.AllowHook), nil); err != nil {
		t.Fatal(err)
	}
	l := listeners.NewTCP(listeners.Config{ID: "t", Address: address})
	if err := s.AddListener(l); err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	t.Cleanup(func() { once.Do(func() { _ = s.Close() }) })
	return l.Address(), s
}

func TestClientReceivesThroughLosses(t *testing.T) {
	address, server := broker(t, "127.0.0.1:0")
	s := newSink()
	c, err := NewClient(ClientConfig{URL: "tcp://" + address, ClientID: "gw", Config: Config{Devices: []Device{{Position: "G", Topic: "plant/G", Profile: gauge(true)}}}})
	if err != nil {
		t.Fatal(err)
	}
	keep(t, c.Run, s.emit)
	start := time.Now()
	n := 0
	send := func() {
		t.Helper()
		n++
		publish(t, mustDial(t, address), "plant/G/data", fmt.Sprintf(`{"v":%d,"on":true,"ts":%d,"n":%d}`, n, start.Add(time.Duration(n)*time.Millisecond).UnixMilli(), n))
	}
	has := func(v int) func([]stored) bool {
		return func(all []stored) bool {
			return slices.ContainsFunc(all, func(s stored) bool { return value(s, "v").Value == faultline.Float(float64(v)) })
		}
	}
	deadline := time.Now().Add(20 * time.Second)
	for server.Topics.Subscribers("plant/G/data").Subscriptions["gw"].Filter == "" { // until it has subscribed
		if time.Now().After(deadline) {
			t.Fatal("it does not subscribe")
		}
		time.Sleep(5 * time.Millisecond)
	}
	send()
	s.wait(t, "first value", has(1))
	cl, ok := server.Clients.Get("gw")
	if !ok {
		t.Fatal("the broker does not know the gateway")
	}
	cl.Stop(errors.New("cable pulled"))
	send() // while it is away: kept by the broker under its client id
	s.wait(t, "value sent while away", has(2))
	s.wait(t, "bad samples for the loss", func(all []stored) bool {
		return slices.ContainsFunc(all, func(s stored) bool { return value(s, "v").Quality == faultline.BadNotConnected })
	})
	seen := map[faultline.Value]int{}
	for _, st := range s.all() {
		if v := value(st, "v"); v.Quality.IsGood() {
			seen[v.Value]++
		}
	}
	if len(seen) != 2 || seen[faultline.Float(1)] != 1 || seen[faultline.Float(2)] != 1 {
		t.Errorf("values %v", seen)
	}
}

func TestClientAcknowledgesAfterStoring(t *testing.T) {
	address, server := broker(t, "127.0.0.1:0")
	s := newSink()
	var fail atomic.Int32
	fail.Store(3)
	s.gate = func(context.Context) error {
		if fail.Add(-1) >= 0 {
			return errors.New("disk full")
		}
		return nil
	}
	// The session is made before, so that the message waits in it.
	early, err := dial(t, address, "", func(o *paho.ClientOptions) { o.SetClientID("gw").SetCleanSession(false) })
	if err != nil {
		t.Fatal(err)
	}
	early.Subscribe("plant/G/data", 1, nil).WaitTimeout(10 * time.Second)
	early.Disconnect(50)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) { // until the broker knows it
		if cl, ok := server.Clients.Get("gw"); ok && cl.Closed() {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the broker did not see the early client leave")
		}
	}
	publish(t, mustDial(t, address), "plant/G/data", `{"v": 7, "on": true}`)
	c, err := NewClient(ClientConfig{URL: "tcp://" + address, ClientID: "gw", Config: Config{Devices: []Device{{Position: "G", Topic: "plant/G", Profile: gauge(false)}}}})
	if err != nil {
		t.Fatal(err)
	}
	keep(t, c.Run, s.emit)
	all := s.wait(t, "the message that could not be stored at first", func(all []stored) bool {
		return slices.ContainsFunc(all, func(s stored) bool { return value(s, "v").Value == faultline.Float(7) })
	})
	if fail.Load() > 0 {
		t.Errorf("stored too early: %+v", all)
	}
}

func TestClientWaitsForItsBroker(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	s := newSink()
	c, err := NewClient(ClientConfig{URL: "tcp://" + address, ClientID: "gw", Config: Config{Devices: []Device{{Position: "G", Topic: "plant/G", Profile: gauge(true)}}}})
	if err != nil {
		t.Fatal(err)
	}
	keep(t, c.Run, s.emit)
	s.wait(t, "bad samples", func(all []stored) bool {
		return len(all) == 1 && value(all[0], "v").Quality == faultline.BadNotConnected
	})
	_, server := broker(t, address)
	deadline := time.Now().Add(20 * time.Second)
	for {
		_ = server.Publish("plant/G/data", []byte(fmt.Sprintf(`{"v":1,"on":true,"ts":%d}`, time.Now().UnixMilli())), false, 1)
		if slices.ContainsFunc(s.all(), func(s stored) bool { return value(s, "v").Value == faultline.Float(1) }) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing arrives")
		}
		time.Sleep(20 * time.Millisecond)
	}
}
