package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/prometheus/client_golang/prometheus"
)

// The embedded databases serve one process. So a task on them, such as a backup, is done by the process
// that runs, which tells in DATA/control.json where it listens and by which secret it knows who may
// read the data directory; without one, the task opens the databases itself.

// task is a subcommand on the parts of a node. It adds its flags and gives what is to be done, which
// writes its result to out and its progress to tell.
type task func(fs *flag.FlagSet) func(ctx context.Context, n *node, out, tell io.Writer) error

// tasks by the name of their subcommand.
var tasks = map[string]task{"deadletters": deadLettersTask, "backup": backupTask, "ledger": ledgerTask, "apply": applyTask, "user": userTask, "team": teamTask, "token": tokenTask, "audit": auditTask, "import": importTask}

// taskOperands is the number of operands of each task.
const taskOperands = 64

// runTask makes the subcommand of a task.
func runTask(name string) func(context.Context, *flag.FlagSet, []string, io.Writer) error {
	return func(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
		file := fs.String("config", "", "the configuration `FILE` (required)")
		do := tasks[name](fs)
		if err := parse(fs, args, taskOperands); err != nil {
			return err
		}
		if *file == "" {
			fmt.Fprintf(fs.Output(), "faultline %s: -config FILE is needed\n", name)
			return errUsage
		}
		cfg, err := LoadConfig(*file)
		if err != nil {
			return err
		}
		return doTask(ctx, cfg, name, args, do, out, fs.Output())
	}
}

// taskArgs looks at the arguments of a task before it is done: its first two operands and its flags by name. ok is false
// where they cannot be parsed, which runTask then tells.
func taskArgs(name string, args []string) (verb, object string, given func(flag string) string, ok bool) {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	_ = fs.String("config", "", "")
	_ = tasks[name](fs)
	err := parse(fs, args, taskOperands)
	return fs.Arg(0), fs.Arg(1), func(flag string) string { return fs.Lookup(flag).Value.String() }, err == nil
}

// doTask lets the running process do it, or does it here.
func doTask(ctx context.Context, cfg *Config, name string, args []string, do func(context.Context, *node, io.Writer, io.Writer) error, out, tell io.Writer) error {
	if done, err := askRunning(ctx, cfg, name, args, out, tell); done {
		return err
	}
	n, err := openParts(ctx, cfg)
	defer func() { _ = n.stop() }() // nothing was written that is not safe
	if err != nil {
		if errors.Is(err, faultline.ErrConflict) {
			return fmt.Errorf("%w (the process that runs did not answer on %s)", err, controlFile(cfg))
		}
		return err
	}
	return do(ctx, n, out, tell)
}

// openParts opens what a central process stands on, without any role.
func openParts(ctx context.Context, cfg *Config) (*node, error) {
	n := &node{cfg: cfg, log: slog.New(slog.DiscardHandler), roles: []string{roleIngest, roleRules, roleAPI}, registry: prometheus.NewRegistry()}
	if _, err := os.Stat(cfg.dataDir()); err != nil && (cfg.storeURL() == "" || cfg.Hub.URL == "" || cfg.Influx.URL == "") {
		return n, fmt.Errorf("there is no data yet: %w", err)
	}
	for _, open := range []func(context.Context) error{n.openStore, n.openHub, n.openInflux} {
		if err := open(ctx); err != nil {
			return n, err
		}
	}
	return n, nil
}

func controlFile(cfg *Config) string { return filepath.Join(cfg.dataDir(), "control.json") }

// control is what the file says.
type control struct {
	Address string `json:"address"`
	Token   string `json:"token"`
}

// request of a task.
type request struct {
	Task string   `json:"task"`
	Args []string `json:"args"`
}

// An answer is records of a kind, a length and bytes; the last is one of the end.
const (
	recordOut  = 'o'
	recordTell = 't'
	recordFail = 'f' // the end, with the error's text
	recordDone = 'd' // the end

	maxRecord = 1 << 20
)

// startControl listens for tasks, on loopback.
func (n *node) startControl(ctx context.Context, fail func(error)) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	c := control{Address: l.Addr().String(), Token: hex.EncodeToString(secret)}
	b, err := json.Marshal(c)
	if err == nil {
		err = replaceFile(controlFile(n.cfg), b)
	}
	if err != nil {
		_ = l.Close()
		return fmt.Errorf("control: %w", err)
	}
	srv := &http.Server{Handler: n.controlHandler(c.Token), ReadHeaderTimeout: 5 * time.Second}
	s, sctx := n.begin(ctx, "control")
	s.run(sctx, fail, "control", func(context.Context) error {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	s.run(sctx, fail, "control", func(ctx context.Context) error {
		<-ctx.Done()
		_ = os.Remove(controlFile(n.cfg)) // a stale one is known by nobody answering
		return srv.Close()
	})
	return nil
}

// replaceFile writes a file that only its owner may read, whole or not at all.
func replaceFile(name string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+"-*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

func (n *node) controlHandler(token string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+token)) != 1 || r.Method != http.MethodPost {
			http.Error(w, "not for you", http.StatusForbidden)
			return
		}
		var q request
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&q); err != nil || tasks[q.Task] == nil {
			http.Error(w, "no such task: is another version of the program running?", http.StatusBadRequest)
			return
		}
		a := &recorder{w: w}
		fs := flag.NewFlagSet(q.Task, flag.ContinueOnError)
		fs.SetOutput(io.Discard)
		_ = fs.String("config", "", "")
		do := tasks[q.Task](fs)
		err := parse(fs, q.Args, taskOperands)
		if err == nil {
			err = do(r.Context(), n, a.as(recordOut), a.as(recordTell))
		}
		if err != nil {
			a.record(recordFail, []byte(err.Error()))
			return
		}
		a.record(recordDone, nil)
	})
}

// recorder writes records.
type recorder struct {
	mu sync.Mutex
	w  http.ResponseWriter
}

type recordWriter struct {
	a    *recorder
	kind byte
}

func (a *recorder) as(kind byte) io.Writer { return recordWriter{a, kind} }

func (r recordWriter) Write(b []byte) (int, error) {
	for at := 0; at < len(b); at += maxRecord {
		if err := r.a.record(r.kind, b[at:min(len(b), at+maxRecord)]); err != nil {
			return at, err
		}
	}
	return len(b), nil
}

func (a *recorder) record(kind byte, b []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(b)))
	if _, err := a.w.Write(append(head, b...)); err != nil {
		return err
	}
	return http.NewResponseController(a.w).Flush()
}

// askRunning has the running process do a task; done is false if there is none.
func askRunning(ctx context.Context, cfg *Config, name string, args []string, out, tell io.Writer) (done bool, err error) {
	var c control
	b, err := os.ReadFile(controlFile(cfg))
	if err != nil || json.Unmarshal(b, &c) != nil || c.Address == "" {
		return false, nil
	}
	if conn, err := net.DialTimeout("tcp", c.Address, 2*time.Second); err != nil {
		return false, nil // it was killed and left the file
	} else {
		_ = conn.Close()
	}
	body, w := io.Pipe()
	go func() { _ = w.CloseWithError(json.NewEncoder(w).Encode(request{name, args})) }()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.Address+"/", body)
	if err != nil {
		return true, err
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
	resp, err := (&http.Client{Transport: &http.Transport{}}).Do(req)
	if err != nil {
		return true, fmt.Errorf("ask the process that runs: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		return true, fmt.Errorf("ask the process that runs: %s: %s", resp.Status, text)
	}
	return true, readRecords(resp.Body, out, tell)
}

// readRecords passes an answer on. One that ends without an end is an error: its process died.
func readRecords(r io.Reader, out, tell io.Writer) error {
	in := bufio.NewReader(r)
	for {
		var head [5]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return fmt.Errorf("the answer ended in the middle: %w", err)
		}
		size := binary.BigEndian.Uint32(head[1:])
		if size > maxRecord {
			return fmt.Errorf("a record of %d bytes: another version of the program is running", size)
		}
		b := make([]byte, size)
		if _, err := io.ReadFull(in, b); err != nil {
			return fmt.Errorf("the answer ended in the middle: %w", err)
		}
		var err error
		switch head[0] {
		case recordOut:
			_, err = out.Write(b)
		case recordTell:
			_, err = tell.Write(b)
		case recordDone:
			return nil
		case recordFail:
			return errors.New(string(b))
		default:
			return fmt.Errorf("a record of kind %q: another version of the program is running", head[0])
		}
		if err != nil {
			return err
		}
	}
}
