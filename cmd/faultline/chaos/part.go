package chaos

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// restartAfter is how long the supervisor waits before it starts a part that ended.
const restartAfter = 500 * time.Millisecond

// part is one process of the installation, kept running as systemd would.
type part struct {
	name    string
	command []string
	env     []string              // added to this process's own
	dir     string                // to run in
	user    string                // "" is ours
	log     string                // file that takes what it says
	quit    os.Signal             // that ends it in order; SIGTERM unless given
	launch  func(*exec.Cmd) error // starts the process; nil: as it is

	mu     sync.Mutex
	cond   *sync.Cond
	cmd    *exec.Cmd // nil while it does not run
	held   int       // by faults
	stop   bool
	starts int
	ends   []string // how it ended when nobody ended it: its last line
	done   chan struct{}
}

// start keeps the part running until end.
func (p *part) start() error {
	p.cond, p.done = sync.NewCond(&p.mu), make(chan struct{})
	if err := os.MkdirAll(filepath.Dir(p.log), 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	go func() {
		defer close(p.done)
		defer out.Close()
		for p.once(out) {
			time.Sleep(restartAfter)
		}
	}()
	return nil
}

// once runs the process once; false ends the supervision.
func (p *part) once(out *os.File) bool {
	p.mu.Lock()
	for p.held > 0 && !p.stop {
		p.cond.Wait()
	}
	if p.stop {
		p.mu.Unlock()
		return false
	}
	last := &lastLine{w: out}
	cmd := exec.Command(p.command[0], p.command[1:]...)
	cmd.Env, cmd.Dir = append(os.Environ(), p.env...), p.dir
	cmd.Stdout, cmd.Stderr = last, last
	cmd.SysProcAttr = attributes(p.user)
	cmd.WaitDelay = time.Second
	fmt.Fprintf(out, "--- %s starts %s\n", time.Now().UTC().Format(time.RFC3339Nano), p.name)
	launch := p.launch
	if launch == nil {
		launch = (*exec.Cmd).Start
	}
	err := launch(cmd)
	if err == nil {
		p.cmd = cmd
		p.starts++
	}
	p.cond.Broadcast()
	p.mu.Unlock()
	if err == nil {
		err = cmd.Wait()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmd = nil
	p.cond.Broadcast()
	if p.held == 0 && !p.stop {
		p.ends = append(p.ends, fmt.Sprintf("%s: %v: %s", time.Now().UTC().Format(time.TimeOnly), err, last.text()))
	}
	return true
}

// hold ends the process with the signal and keeps it from being started until release.
func (p *part) hold(s os.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held++
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s)
	}
	for p.cmd != nil {
		p.cond.Wait()
	}
}

func (p *part) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held--
	p.cond.Broadcast()
}

// signal sends one to the process as it runs.
func (p *part) signal(s os.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s)
	}
}

// end asks the process to end, and ends it.
func (p *part) end() {
	p.mu.Lock()
	if p.cond == nil {
		p.mu.Unlock()
		return
	}
	p.stop = true
	if p.cmd != nil {
		s := p.quit
		if s == nil {
			s = syscall.SIGTERM
		}
		_ = p.cmd.Process.Signal(s)
	}
	p.cond.Broadcast()
	p.mu.Unlock()
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		p.signal(os.Kill)
		<-p.done
	}
}

// ended lists how it ended by itself.
func (p *part) ended() (starts int, ends []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.starts, append([]string(nil), p.ends...)
}

// lastLine remembers the last whole line of what passes.
type lastLine struct {
	w    io.Writer
	mu   sync.Mutex
	line []byte
}

func (l *lastLine) Write(b []byte) (int, error) {
	l.mu.Lock()
	if t := bytes.TrimSpace(b); len(t) > 0 {
		if i := bytes.LastIndexByte(t, '\n'); i >= 0 {
			t = t[i+1:]
		}
		l.line = append(l.line[:0], t[:min(len(t), 300)]...)
	}
	l.mu.Unlock()
	return l.w.Write(b)
}

func (l *lastLine) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.ToValidUTF8(string(l.line), "?")
}

// tail is the end of a part's log.
func tail(file string, lines int) string {
	b, _ := os.ReadFile(file)
	all := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// runs waits until the process runs, or ctx ends.
func (p *part) runs(ctx context.Context) bool {
	for ctx.Err() == nil {
		p.mu.Lock()
		up := p.cmd != nil
		p.mu.Unlock()
		if up {
			return true
		}
		pause(ctx, 50*time.Millisecond)
	}
	return false
}
