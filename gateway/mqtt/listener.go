package mqtt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/faultline-iot/faultline"
)

// User of the built-in listener. It may publish to the topics of the devices that name it, or name no
// user, and to Topics, plain or ending in "/#".
type User struct {
	Name     string
	Password string
	Topics   []string
}

// ListenerConfig of the built-in listener.
type ListenerConfig struct {
	Config
	Address   string // host:port; port 0 chooses one
	TLS       *tls.Config
	Users     []User
	Listening func(address string) // told the address once it listens
}

// maxPacket is the longest MQTT packet that is taken. It is far above MaxPayload, so that a payload
// that is too long is acknowledged and recorded as bad: refused, its device would send it again for ever.
const maxPacket = 4 << 20

const maxClients = 10_000

// Listener lets equipment connect to the gateway itself. A message is stored before its PUBACK (or
// PUBREC); one that could not be stored is not acknowledged, and its device sends it again.
type Listener struct {
	cfg  ListenerConfig
	recv *receiver
}

// NewListener checks the configuration; it does not listen yet.
func NewListener(cfg ListenerConfig) (*Listener, error) {
	cfg.fill("listener", cfg.Address)
	recv, err := newReceiver(cfg.Config)
	if err != nil {
		return nil, err
	}
	if len(cfg.Users) == 0 {
		return nil, fmt.Errorf("%w: the MQTT listener %s has no users: nobody could connect", faultline.ErrInvalid, cfg.Address)
	}
	for _, u := range cfg.Users {
		if u.Name == "" || u.Password == "" {
			return nil, fmt.Errorf("%w: user %q of the MQTT listener %s: a name and a password are needed", faultline.ErrInvalid, u.Name, cfg.Address)
		}
	}
	return &Listener{cfg: cfg, recv: recv}, nil
}

// Run listens until ctx ends.
func (l *Listener) Run(ctx context.Context, emit Emit) error {
	l.recv.emit = emit
	if l.cfg.Recent != nil {
		frames, err := l.cfg.Recent(ctx)
		if err != nil {
			return fmt.Errorf("read the last stored frames: %w", err)
		}
		l.recv.rebuild(frames)
	}
	caps := mochi.NewDefaultServerCapabilities()
	caps.MaximumPacketSize, caps.MaximumClients = maxPacket, maxClients
	caps.RetainAvailable, caps.SharedSubAvailable, caps.WildcardSubAvailable = 0, 0, 0
	caps.MaximumSessionExpiryInterval = 3600
	caps.MaximumInflight, caps.MaximumClientWritesPending = 256, 256
	server := mochi.New(&mochi.Options{Capabilities: caps, Logger: slog.New(slog.DiscardHandler)})
	h := &hook{l: l, ctx: ctx, sessions: newSessions()}
	if err := server.AddHook(h, nil); err != nil {
		return fmt.Errorf("set up the MQTT listener: %w", err)
	}
	tcp := listeners.NewTCP(listeners.Config{ID: "devices", Address: l.cfg.Address, TLSConfig: l.cfg.TLS})
	if err := server.AddListener(tcp); err != nil {
		return fmt.Errorf("listen for MQTT on %s: %w", l.cfg.Address, err)
	}
	if err := server.Serve(); err != nil {
		return fmt.Errorf("serve MQTT on %s: %w", l.cfg.Address, err)
	}
	if l.cfg.Listening != nil {
		l.cfg.Listening(tcp.Address())
	}
	l.cfg.Log.Info("listening for MQTT", "address", tcp.Address())
	<-ctx.Done()
	_ = server.Close() // always nil
	h.losing.Wait()
	return nil
}

// hook is how the broker asks us. ctx is that of Run, whose life the broker shares.
type hook struct {
	mochi.HookBase
	l        *Listener
	ctx      context.Context
	losing   sync.WaitGroup
	sessions *sessions
}

func (h *hook) ID() string { return "faultline" }

func (h *hook) Provides(b byte) bool {
	return bytes.IndexByte([]byte{mochi.OnConnectAuthenticate, mochi.OnACLCheck, mochi.OnPublish, mochi.OnSessionEstablish, mochi.OnSessionEstablished, mochi.OnDisconnect}, b) >= 0
}

// OnConnectAuthenticate compares with every user, in constant time.
func (h *hook) OnConnectAuthenticate(_ *mochi.Client, pk packets.Packet) bool {
	ok := 0
	got := sha256.Sum256(pk.Connect.Password)
	for _, u := range h.l.cfg.Users {
		want := sha256.Sum256([]byte(u.Password))
		ok |= subtle.ConstantTimeCompare(got[:], want[:]) & subtle.ConstantTimeCompare(pk.Connect.Username, []byte(u.Name))
	}
	if ok != 1 {
		h.l.cfg.Metrics.denied.Inc()
	}
	return ok == 1
}

// OnACLCheck lets users publish to their topics. Nobody reads from this listener.
func (h *hook) OnACLCheck(cl *mochi.Client, topic string, write bool) bool {
	user := string(cl.Properties.Username)
	if write && h.l.mayPublish(user, topic) {
		return true
	}
	h.l.cfg.Metrics.denied.Inc()
	if write {
		h.l.recv.misplaced(user, topic, "a message was refused: its user may not publish there")
	}
	return false
}

func (l *Listener) mayPublish(user, topic string) bool {
	for _, rt := range l.recv.routes[topic] {
		if rt.dev.Username == "" || rt.dev.Username == user {
			return true
		}
	}
	if len(l.recv.routes[topic]) > 0 {
		return false // it belongs to devices of other users
	}
	for _, u := range l.cfg.Users {
		if u.Name == user && slices.ContainsFunc(u.Topics, func(t string) bool { return matches(t, topic) }) {
			return true
		}
	}
	return false
}

// matches tells whether a topic is the pattern, or below it where the pattern ends in "/#".
func matches(pattern, topic string) bool {
	if base, ok := strings.CutSuffix(pattern, "/#"); ok {
		return topic == base || strings.HasPrefix(topic, base+"/")
	}
	return pattern == topic
}

// OnPublish stores. ErrRejectPacket is what makes the broker send no acknowledgement.
func (h *hook) OnPublish(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	h.sessions.own(cl, h.l.recv.routes[pk.TopicName]) // before storing: who ends meanwhile loses nothing of this session
	err := h.l.recv.receive(h.ctx, packet{topic: pk.TopicName, user: string(cl.Properties.Username), payload: pk.Payload, repeated: pk.FixedHeader.Dup})
	if err != nil {
		if h.ctx.Err() == nil {
			h.l.cfg.Log.Error("a message was not stored and not acknowledged", "error", err)
		}
		return pk, packets.ErrRejectPacket
	}
	return pk, nil
}

// OnSessionEstablish comes before a session of the same client id is ended.
func (h *hook) OnSessionEstablish(cl *mochi.Client, _ packets.Packet) { h.sessions.begin(cl) }

// OnSessionEstablished counts.
func (h *hook) OnSessionEstablished(*mochi.Client, packets.Packet) { h.l.cfg.Metrics.clients.Inc() }

// OnDisconnect says of what the client alone published for that it is not connected any more. A client
// that took its own session over again is still there.
func (h *hook) OnDisconnect(cl *mochi.Client, err error, _ bool) {
	h.l.cfg.Metrics.clients.Dec()
	gone := h.sessions.end(cl)
	if h.ctx.Err() != nil || cl.IsTakenOver() {
		return
	}
	h.l.cfg.Metrics.lost.Inc()
	if errors.Is(err, packets.ErrPacketTooLarge) {
		user := string(cl.Properties.Username)
		h.l.recv.complaints.wrong(time.Now(), "user", user, reasonOversized, "", "a client was disconnected: its message is longer than any that is taken", "bytes", maxPacket)
	}
	if err == nil {
		err = errDisconnected
	}
	for _, d := range gone {
		h.losing.Go(func() { h.l.recv.lost(h.ctx, d, err, h.sessions.abandoned) })
	}
}
