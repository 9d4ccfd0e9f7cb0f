package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"sync"
	"time"
)

// benchEquipment is the other side of bench poll and the load of bench latency: devices of one address each that answer every read
// with float32 values, and count. It prints its addresses, obeys commands on its input, each answered by a
// line, and ends with it. Commands: "count" begins a window, with those that can die alive or dead as they
// are; "rest" ends it; "die" and "live" change them; "report" tells of all windows.
func benchEquipment(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	devices := fs.Int("devices", 1, "how many")
	dead := fs.Int("dead", 0, "how many of them never answer")
	mortal := fs.Int("mortal", 0, "how many of them obey die and live")
	latency := fs.Duration("latency", 0, "of an answer")
	period := fs.Duration("period", time.Second, "that they are polled with")
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	e := benchEquip{period: *period}
	var addresses []string
	for i := range *devices {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("bench device %d: %w", i, err)
		}
		defer l.Close()
		among := func(n int) bool { return (i+1)*n / *devices > i*n / *devices } // spread over all
		d := &benchDevice{latency: *latency, dead: among(*dead), mortal: among(*mortal)}
		e.list = append(e.list, d)
		addresses = append(addresses, l.Addr().String())
		go d.listen(l) // ends with the process
	}
	enc := json.NewEncoder(out)
	if err := enc.Encode(addresses); err != nil {
		return fmt.Errorf("tell the addresses: %w", err)
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan() && ctx.Err() == nil; {
		r := e.obey(in.Text())
		if err := enc.Encode(r); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	return nil
}

// benchEquip is all devices.
type benchEquip struct {
	list   []*benchDevice
	period time.Duration
	died   bool
	with   []bool // by window: whether those that can die were dead
}

func (e *benchEquip) obey(command string) (r equipmentReport) {
	switch command {
	case "count":
		e.with = append(e.with, e.died)
	case "die", "live":
		e.died = command == "die"
	}
	for _, d := range e.list {
		d.mu.Lock()
		switch command {
		case "count":
			d.windows = append(d.windows, nil)
			d.counting = true
		case "rest":
			d.counting = false
		case "die", "live":
			if d.mortal {
				d.dead = e.died
			}
		case "report":
			r.Points += d.points
			r.Requests += d.requests
		}
		d.mu.Unlock()
	}
	if command == "report" {
		e.summarize(&r)
	}
	return r
}

type benchDevice struct {
	latency time.Duration
	mortal  bool
	value   func() float32 // that it answers with; nil: one that rises with each answer

	mu       sync.Mutex
	dead     bool
	counting bool
	points   uint64
	requests uint64
	windows  [][]time.Time // polls of the first block
}

func (d *benchDevice) listen(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go d.serve(c)
	}
}

func (d *benchDevice) isDead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

func (d *benchDevice) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 512)
	var in [12]byte
	var out []byte
	for value := float32(1); ; value += 0.25 {
		if _, err := io.ReadFull(r, in[:]); err != nil {
			return
		}
		if d.isDead() {
			continue
		}
		address, count := binary.BigEndian.Uint16(in[8:]), int(binary.BigEndian.Uint16(in[10:]))
		at := time.Now()
		if d.latency > 0 {
			time.Sleep(d.latency)
		}
		if d.value != nil {
			value = d.value()
		}
		out = append(out[:0], in[0], in[1], 0, 0)
		out = binary.BigEndian.AppendUint16(out, uint16(3+2*count))
		out = append(out, in[6], in[7], byte(2*count))
		for range count / 2 {
			out = binary.BigEndian.AppendUint32(out, math.Float32bits(value))
		}
		if _, err := c.Write(out); err != nil {
			return
		}
		d.mu.Lock()
		if d.counting {
			d.requests++
			d.points += uint64(count / 2)
			if address == 0 {
				last := len(d.windows) - 1
				d.windows[last] = append(d.windows[last], at)
			}
		}
		d.mu.Unlock()
	}
}
