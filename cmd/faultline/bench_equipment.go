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

// benchEquipment is the other side of bench poll: devices of one address each that answer every read
// with float32 values, and count. It prints its addresses, obeys "start" and "stop" on its input, and
// ends with it.
func benchEquipment(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	devices := fs.Int("devices", 1, "how many")
	dead := fs.Int("dead", 0, "how many of them never answer")
	latency := fs.Duration("latency", 0, "of an answer")
	period := fs.Duration("period", time.Second, "that they are polled with")
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	var list []*benchDevice
	var addresses []string
	for i := range *devices {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("bench device %d: %w", i, err)
		}
		defer l.Close()
		// Dead ones are spread over all.
		d := &benchDevice{latency: *latency, dead: (i+1)**dead / *devices > i**dead / *devices}
		list = append(list, d)
		addresses = append(addresses, l.Addr().String())
		go d.listen(l) // ends with the process
	}
	enc := json.NewEncoder(out)
	if err := enc.Encode(addresses); err != nil {
		return fmt.Errorf("tell the addresses: %w", err)
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan() && ctx.Err() == nil; {
		var r equipmentReport
		var polls [][]time.Time
		for _, d := range list {
			d.mu.Lock()
			if in.Text() == "start" {
				d.counting, d.points, d.requests, d.polls = true, 0, 0, nil
			} else {
				d.counting = false
				r.Points += d.points
				r.Requests += d.requests
				polls = append(polls, d.polls)
			}
			d.mu.Unlock()
		}
		r.summarize(polls, *period)
		if err := enc.Encode(r); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	return nil
}

type benchDevice struct {
	latency time.Duration
	dead    bool

	mu       sync.Mutex
	counting bool
	points   uint64
	requests uint64
	polls    []time.Time // of the first block
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

func (d *benchDevice) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 512)
	var in [12]byte
	var out []byte
	for value := float32(1); ; value += 0.25 {
		if _, err := io.ReadFull(r, in[:]); err != nil {
			return
		}
		if d.dead {
			continue
		}
		address, count := binary.BigEndian.Uint16(in[8:]), int(binary.BigEndian.Uint16(in[10:]))
		at := time.Now()
		if d.latency > 0 {
			time.Sleep(d.latency)
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
				d.polls = append(d.polls, at)
			}
		}
		d.mu.Unlock()
	}
}
