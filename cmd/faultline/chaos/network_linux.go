package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// network is two network namespaces, this process's and that of the site, with two ways between them: the
// field, a pair of virtual wires that never fails, on which equipment and gateways talk; and the uplink, on
// which gateways reach the hub. The uplink is a router of our own between two TUN devices, so that real
// IP packets are dropped, one by one, and the kernel's TCP has to cope.
type network struct {
	ns           string
	field, site  string // addresses on the field
	hub, gateway string // addresses on the uplink
	tuns         [2]*os.File
	done         sync.WaitGroup

	loss    atomic.Int64 // per mille of the packets, in both directions
	passed  atomic.Int64
	dropped atomic.Int64
}

var networks atomic.Int64 // made so far

// newNetwork builds it. The error says why that is not possible here.
func newNetwork(ctx context.Context) (_ *network, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("needs root, for network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return nil, errors.New("needs the program ip (package iproute2)")
	}
	// Another number each time: the kernel takes a namespace down in its own time.
	id := (os.Getpid() + int(networks.Add(1))*7919) % 32768
	subnet := fmt.Sprintf("10.%d.%d.", 213+id%8, id/8%250)
	n := &network{ns: fmt.Sprintf("chaos-%d", id), field: subnet + "1", site: subnet + "2", hub: subnet + "5", gateway: subnet + "6"}
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	a, b := fmt.Sprintf("cf%da", id), fmt.Sprintf("cf%db", id)
	if err := ip(ctx, "netns add "+n.ns,
		"link add "+a+" type veth peer name "+b+" netns "+n.ns,
		"addr add "+n.field+"/30 dev "+a, "link set "+a+" up",
		"-n "+n.ns+" addr add "+n.site+"/30 dev "+b, "-n "+n.ns+" link set "+b+" up", "-n "+n.ns+" link set lo up"); err != nil {
		return nil, err
	}
	near, far := fmt.Sprintf("cu%da", id), fmt.Sprintf("cu%db", id)
	if n.tuns[0], err = makeTUN(near); err != nil {
		return nil, err
	}
	if err = n.inside(func() (err error) { n.tuns[1], err = makeTUN(far); return err }); err != nil {
		return nil, err
	}
	if err := ip(ctx, "addr add "+n.hub+" peer "+n.gateway+" dev "+near, "link set "+near+" up",
		"-n "+n.ns+" addr add "+n.gateway+" peer "+n.hub+" dev "+far, "-n "+n.ns+" link set "+far+" up"); err != nil {
		return nil, err
	}
	n.done.Go(func() { n.route(n.tuns[0], n.tuns[1]) })
	n.done.Go(func() { n.route(n.tuns[1], n.tuns[0]) })
	return n, nil
}

// close takes everything down.
func (n *network) close() {
	for _, t := range n.tuns {
		if t != nil {
			t.Close()
		}
	}
	n.done.Wait()
	_ = ip(context.Background(), "netns del "+n.ns) // takes the wires and the devices with it
}

// route passes packets on until the device is closed.
func (n *network) route(from, to *os.File) {
	packet := make([]byte, 65536)
	for {
		k, err := from.Read(packet)
		if err != nil {
			return
		}
		if l := n.loss.Load(); l > 0 && rand.Int64N(1000) < l {
			n.dropped.Add(1)
			continue
		}
		n.passed.Add(1)
		_, _ = to.Write(packet[:k]) // a packet that cannot be delivered is lost, as on any network
	}
}

// inside calls f on a thread in the site's namespace: a process that it starts is there. (The program "ip
// netns exec" would give it mounts of its own, which would keep disks busy.)
func (n *network) inside(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread is thrown away, if it cannot be changed back
		back, err := enter("/var/run/netns/" + n.ns)
		if err == nil {
			err = f()
			if back() == nil {
				runtime.UnlockOSThread()
			}
		}
		done <- err
	}()
	return <-done
}

func ip(ctx context.Context, lines ...string) error {
	for _, l := range lines {
		if out, err := exec.CommandContext(ctx, "ip", strings.Fields(l)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w %s", l, err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

func enter(namespace string) (back func() error, err error) {
	own, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the own network namespace: %w", err)
	}
	other, err := unix.Open(namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		unix.Close(own)
		return nil, fmt.Errorf("open %s: %w", namespace, err)
	}
	defer unix.Close(other)
	if err := unix.Setns(other, unix.CLONE_NEWNET); err != nil {
		unix.Close(own)
		return nil, fmt.Errorf("enter %s: %w", namespace, err)
	}
	return func() error { defer unix.Close(own); return unix.Setns(own, unix.CLONE_NEWNET) }, nil
}

func makeTUN(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make the TUN device %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
