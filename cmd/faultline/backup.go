package main

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/faultline-iot/faultline/internal/bus"
)

// A backup is an archive of the centre while it runs, taken in this order:
//
//  1. SQL, as it is at one moment. Its places say up to where ingest and rules have dealt with the streams.
//  2. InfluxDB. Points are written before the place that stands for them is saved, so all that SQL calls
//     dealt with is in it; what is newer than SQL is written once more from the stream, as the same points.
//  3. The streams, with all that came meanwhile. No place is ahead of them: what lies between a place and the
//     end of its stream is dealt with after the restoring, once. The trimmer leaves it, as it lies behind no place.
//  4. Everything else in the data directory, then the manifest. An archive without it is not whole.
//
// In any other order a place could be ahead of its stream, or of the points: frames would be lost
// without anybody knowing. Frames that a gateway of a site delivered after the backup are forwarded
// again, as far as its edge stream still has them; those of gateways in the centre's own process, and
// what people did after the backup, are gone.
//
// What a crash leaves: a file with the ending .part, which is no backup, and a directory backup-* in
// the data directory, which the next backup removes.

// Names within an archive.
const (
	inManifest = "manifest.json"
	inSQL      = "faultline.db"
	inStreams  = "streams"
	inInflux   = "influx"
	inFiles    = "files"
)

// manifest tells what an archive holds. Parts that are not in it have tools of their own.
type manifest struct {
	Version    int            `json:"version"`
	Program    string         `json:"program"`
	Began      time.Time      `json:"began"`
	Ended      time.Time      `json:"ended"`
	SQL        bool           `json:"sql"`
	Influx     bool           `json:"influx"`
	Partitions []bus.Exported `json:"partitions"`
}

const manifestVersion = 1

// backupCommand writes an archive to a file, whole or not at all.
func backupCommand(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	file := fs.String("config", "", "the configuration `FILE` (required)")
	do := backupTask(fs)
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	target := fs.Lookup("out").Value.String()
	if *file == "" || target == "" {
		fmt.Fprintln(fs.Output(), "faultline backup: -config FILE and -out DIR|FILE.tar are needed")
		return errUsage
	}
	cfg, err := LoadConfig(*file)
	if err != nil {
		return err
	}
	if info, err := os.Stat(target); err == nil && info.IsDir() {
		target = filepath.Join(target, "faultline-"+time.Now().UTC().Format("20060102-150405")+".tar")
	} else if err == nil {
		return fmt.Errorf("%s is there already: name another file", target)
	}
	part := target + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	err = doTask(ctx, cfg, "backup", args, do, f, fs.Output())
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(part, target)
	}
	if err != nil {
		_ = os.Remove(part)
		return fmt.Errorf("backup: %w", err)
	}
	info, err := os.Stat(target)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %d bytes\n", target, info.Size())
	return nil
}

// backupTask writes the archive to out, in the process that has the databases.
func backupTask(fs *flag.FlagSet) func(context.Context, *node, io.Writer, io.Writer) error {
	fs.String("out", "", "the `FILE` to be written, or a directory in which it gets a name by the time")
	return func(ctx context.Context, n *node, out, tell io.Writer) error {
		m := manifest{Version: manifestVersion, Program: buildVersion(), Began: time.Now().UTC()}
		w := tar.NewWriter(out)
		dir, err := n.backupDir()
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		for _, step := range []func(context.Context, *tar.Writer, string, *manifest, io.Writer) error{n.backupSQL, n.backupInflux, n.backupStreams, n.backupFiles} {
			if err := step(ctx, w, dir, &m, tell); err != nil {
				return err
			}
		}
		m.Ended = time.Now().UTC()
		b, err := json.MarshalIndent(m, "", "  ")
		if err == nil {
			err = addBytes(w, inManifest, b)
		}
		if err != nil {
			return err
		}
		return w.Close()
	}
}

// backupDir makes a directory for what must be written before its size is known.
func (n *node) backupDir() (string, error) {
	old, err := filepath.Glob(filepath.Join(n.cfg.dataDir(), "backup-*"))
	if err != nil {
		return "", err
	}
	for _, d := range old {
		if info, err := os.Stat(d); err == nil && time.Since(info.ModTime()) > time.Hour { // not one that is being made
			_ = os.RemoveAll(d)
		}
	}
	if err := os.MkdirAll(n.cfg.dataDir(), 0o700); err != nil {
		return "", err
	}
	return os.MkdirTemp(n.cfg.dataDir(), "backup-*")
}

func (n *node) backupSQL(ctx context.Context, w *tar.Writer, dir string, m *manifest, tell io.Writer) error {
	if !n.store.Embedded() {
		fmt.Fprintln(tell, "SQL is in PostgreSQL: back it up with pg_dump --format=custom BEFORE this backup, so that no place is ahead of the streams")
		return nil
	}
	file := filepath.Join(dir, inSQL)
	if err := n.store.Backup(ctx, file); err != nil {
		return err
	}
	m.SQL = true
	fmt.Fprintln(tell, "SQL copied")
	return addCopy(w, inSQL, file)
}

func (n *node) backupInflux(ctx context.Context, w *tar.Writer, _ string, m *manifest, tell io.Writer) error {
	if n.engine == nil {
		fmt.Fprintln(tell, "time series are in an InfluxDB of their own: back it up now, with influxd backup -portable (1.8) or influx backup (2.x)")
		return nil
	}
	if err := n.engine.Backup(ctx, w, inInflux); err != nil {
		return err
	}
	m.Influx = true
	fmt.Fprintln(tell, "time series copied")
	token := filepath.Join(n.cfg.dataDir(), "influx", "token")
	if _, err := os.Stat(token); errors.Is(err, fs.ErrNotExist) {
		return nil // it is in the configuration
	}
	return addCopy(w, path.Join(inInflux, "token"), token)
}

func (n *node) backupStreams(ctx context.Context, w *tar.Writer, dir string, m *manifest, tell io.Writer) error {
	for p := range n.hub.Partitions() {
		file := filepath.Join(dir, "stream")
		f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		e, err := n.hub.Export(ctx, p, f)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		if e.Missing > 0 {
			fmt.Fprintf(tell, "partition %d: %d messages are damaged on disk and not in the backup; faultline ledger verify says which frames\n", p, e.Missing)
		}
		m.Partitions = append(m.Partitions, e)
		if err := addCopy(w, streamName(p), file); err != nil {
			return err
		}
		fmt.Fprintf(tell, "stream %d of %d copied: %d messages\n", p+1, n.hub.Partitions(), e.Messages)
	}
	return nil
}

func streamName(partition int) string { return path.Join(inStreams, fmt.Sprint(partition)) }

// backupFiles copies what else lies in the data directory, such as keys and marks.
func (n *node) backupFiles(_ context.Context, w *tar.Writer, _ string, _ *manifest, _ io.Writer) error {
	root := n.cfg.dataDir()
	return filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, file)
		if err != nil || name == "." {
			return err
		}
		if top, _, _ := strings.Cut(filepath.ToSlash(name), "/"); ownPart(top) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		return addCopy(w, path.Join(inFiles, filepath.ToSlash(name)), file)
	})
}

// ownPart tells whether something in the data directory is copied in its own way, or not at all.
func ownPart(name string) bool {
	return name == "hub" || name == "influx" || name == "control.json" || strings.HasPrefix(name, "edge-") || strings.HasPrefix(name, "backup-") || strings.HasPrefix(name, "faultline.db")
}

func addBytes(w *tar.Writer, name string, b []byte) error {
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(b)), Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err := w.Write(b)
	return err
}

// addCopy copies a file as long as it is now.
func addCopy(w *tar.Writer, name, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("back up %s: %w", name, err)
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err == nil {
		err = w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: info.Size(), Format: tar.FormatPAX})
	}
	if err == nil {
		_, err = io.CopyN(w, f, info.Size())
	}
	if err != nil {
		return fmt.Errorf("back up %s: %w", name, err)
	}
	return nil
}
