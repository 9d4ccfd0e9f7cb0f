package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

func (b *pollBench) show(out io.Writer) {
	ms := func(s float64) time.Duration {
		return time.Duration(s * float64(time.Second)).Round(100 * time.Microsecond)
	}
	fmt.Fprintf(out, "%d devices (%d of them dead), %d values in %d blocks each %v\n", b.Devices, b.Dead, b.Values, b.Blocks, b.period)
	fmt.Fprintf(out, "  %.0f values/s in %d requests over %.1f s, counted at the equipment; %d values, %d stored meanwhile\n", b.PointsPerS, b.Requests, b.SecondsS, b.Points, b.Stored)
	tell := func(what string, r latenessReport) {
		fmt.Fprintf(out, "  lateness%s p50 %v, p99 %v, at most %v; %d polls, %d missed\n", what, ms(r.P50S), ms(r.P99S), ms(r.MaxS), r.Polls, r.Missed)
	}
	if c := b.Compare; c != nil {
		tell(" with all alive, as control", c.Control)
		tell(" with all alive", c.Without)
		tell(fmt.Sprintf(" with %d dead", c.Dead), c.With)
		fmt.Fprintf(out, "  p99 with dead devices is %.2f times that without, and without %.2f times the control (middle of %d turns; p99 in ms in turns: %.1f)\n", c.P99, c.Same, c.Windows, inMS(c.P99s))
		for i, what := range [...]string{"without", "with"} {
			x := c.Costs[i]
			fmt.Fprintf(out, "  %s: %.0f ms of CPU and %.2f MB allocated each second, garbage collected %d times\n", what, 1000*x.CPUS/x.SecondsS, x.AllocatedMB/x.SecondsS, x.Collections)
		}
	} else {
		tell("", b.latenessReport)
	}
	fmt.Fprintf(out, "  %.2f CPU-seconds a million values (%.2f s in all), %.0f MB at most, %d commits, %.1f MB written\n", b.CPUPerMillion, b.CPUS, b.MemoryMB, b.Commits, float64(b.StreamBytes)/(1<<20))
	fmt.Fprintf(out, "  %.1f kB allocated for each poll, garbage collected %d times\n", b.AllocPerPoll/1000, b.Collections)
}

// equipmentProcess is simulated equipment in a process of its own, so that its CPU does not count.
type equipmentProcess struct {
	cmd       *exec.Cmd
	in        io.WriteCloser
	out       *bufio.Scanner
	addresses []string
}

func startEquipment(ctx context.Context, args ...string) (*equipmentProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	e := &equipmentProcess{cmd: exec.CommandContext(ctx, self, append([]string{"bench", "equipment"}, args...)...)}
	e.cmd.Stderr = os.Stderr
	if e.in, err = e.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start the equipment: %w", err)
	}
	pipe, err := e.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start the equipment: %w", err)
	}
	if err := e.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the equipment: %w", err)
	}
	e.out = bufio.NewScanner(pipe)
	e.out.Buffer(nil, 1<<20)
	if !e.out.Scan() || json.Unmarshal(e.out.Bytes(), &e.addresses) != nil {
		return nil, errors.Join(fmt.Errorf("the equipment does not start"), e.end())
	}
	return e, nil
}

func (e *equipmentProcess) ask(what string) (r equipmentReport, err error) {
	if _, err := fmt.Fprintln(e.in, what); err != nil {
		return r, fmt.Errorf("ask the equipment: %w", err)
	}
	if !e.out.Scan() {
		return r, errors.New("the equipment has ended")
	}
	if err := json.Unmarshal(e.out.Bytes(), &r); err != nil {
		return r, fmt.Errorf("read the equipment's report: %w", err)
	}
	return r, nil
}

func (e *equipmentProcess) end() error {
	_ = e.in.Close() // that ends it
	if err := e.cmd.Wait(); err != nil {
		return fmt.Errorf("the equipment: %w", err)
	}
	return nil
}
