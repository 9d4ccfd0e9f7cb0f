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
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
)

// Restoring makes a data directory of an archive. Streams get new names, and places are moved to where
// the same messages are in them, so that ingest and rules go on where they were at the backup. Gateways
// of sites find a hub that has less than they delivered, and forward what it lacks.
//
// What a crash leaves: a directory with the ending .restoring beside the data directory, which is taken
// for nothing; restoring again begins anew. The data directory appears by one renaming, complete. What
// was restored into a hub elsewhere is refused the second time: its streams are to be deleted first.

// restoreCommand restores an archive into an empty place.
func restoreCommand(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	file := fs.String("config", "", "the configuration `FILE`; its data directory must not exist (required)")
	if err := parse(fs, args, 1); err != nil {
		return err
	}
	if *file == "" || fs.NArg() != 1 {
		fmt.Fprintln(fs.Output(), "faultline restore: -config FILE and the archive are needed")
		return errUsage
	}
	cfg, err := LoadConfig(*file)
	if err != nil {
		return err
	}
	if err := restore(ctx, cfg, fs.Arg(0), out); err != nil {
		return fmt.Errorf("restore %s: %w", fs.Arg(0), err)
	}
	return nil
}

func restore(ctx context.Context, cfg *Config, archive string, out io.Writer) (err error) {
	data := cfg.dataDir()
	if left, err := os.ReadDir(data); err == nil && len(left) > 0 {
		return fmt.Errorf("%s is not empty: restore where nothing is yet, or move it away", data)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dir := filepath.Clean(data) + ".restoring"
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // gone already if all went well
	m, err := unpack(archive, dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "a backup of %s, begun %s\n", m.Program, m.Began.Format(time.RFC3339))
	streams := filepath.Join(dir, inStreams)
	if err := restoreStreams(ctx, cfg, &m, dir, streams, out); err != nil {
		return err
	}
	if err := os.RemoveAll(streams); err != nil {
		return err
	}
	if err := os.Remove(data); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(filepath.Clean(data)), 0o700); err != nil {
		return err
	}
	if err := os.Rename(dir, data); err != nil {
		return err
	}
	for _, part := range []struct {
		missing bool
		words   string
	}{
		{!m.SQL, "SQL was not in the archive: pg_restore came before this"},
		{!m.Influx, "time series were not in the archive: restore them with influxd restore -portable (1.8) or influx restore (2.x)"},
	} {
		if part.missing {
			fmt.Fprintln(out, part.words)
		}
	}
	fmt.Fprintf(out, "restored into %s; start faultline run, and gateways of sites forward what came after the backup\n", data)
	return nil
}

// unpack writes the archive's files into dir, where the data directory has them.
func unpack(archive, dir string) (m manifest, err error) {
	f, err := os.Open(archive)
	if err != nil {
		return m, err
	}
	defer func() { _ = f.Close() }() // it was only read
	whole := false
	r := tar.NewReader(f)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return m, fmt.Errorf("the archive is damaged: %w", err)
		}
		name := h.Name
		switch {
		case h.Typeflag != tar.TypeReg || !filepath.IsLocal(name):
			return m, fmt.Errorf("%w: %q is no file of a backup", faultline.ErrInvalid, name)
		case name == inManifest:
			if err := json.NewDecoder(io.LimitReader(r, 1<<20)).Decode(&m); err != nil {
				return m, fmt.Errorf("read the manifest: %w", err)
			}
			whole = true
			continue
		case strings.HasPrefix(name, inFiles+"/"):
			name = strings.TrimPrefix(name, inFiles+"/")
			if top, _, _ := strings.Cut(name, "/"); !filepath.IsLocal(name) || ownPart(top) || top == inStreams {
				return m, fmt.Errorf("%w: %q is no file of a backup", faultline.ErrInvalid, h.Name)
			}
		case name != inSQL && !strings.HasPrefix(name, inStreams+"/") && !strings.HasPrefix(name, inInflux+"/"):
			return m, fmt.Errorf("%w: %q is no file of a backup", faultline.ErrInvalid, name)
		}
		if err := writeNew(filepath.Join(dir, filepath.FromSlash(name)), r); err != nil {
			return m, fmt.Errorf("unpack %s: %w", h.Name, err)
		}
	}
	switch {
	case !whole:
		return m, errors.New("the archive has no manifest: it is not whole")
	case m.Version != manifestVersion:
		return m, fmt.Errorf("the archive has version %d, this program knows %d", m.Version, manifestVersion)
	case len(m.Partitions) == 0 || len(m.Partitions) > 256:
		return m, fmt.Errorf("%w: %d partitions", faultline.ErrInvalid, len(m.Partitions))
	}
	return m, nil
}

// writeNew writes a file that is not there yet, on disk when it returns.
func writeNew(file string, r io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Sync(), f.Close())
}

// restoreStreams imports the streams, into a hub in dir or into the one that is configured, and moves
// the places of SQL into them.
func restoreStreams(ctx context.Context, cfg *Config, m *manifest, dir, streams string, out io.Writer) (err error) {
	at := *cfg // the same, but for the directory
	if at.Data, err = filepath.Abs(dir); err != nil {
		return err
	}
	at.Hub.Listen = "" // nobody comes in before all is there
	at.Hub.Partitions, at.Hub.MaxBytes = len(m.Partitions), max(m.Partitions[0].MaxBytes, 0)
	n := &node{cfg: &at, log: slog.New(slog.DiscardHandler), roles: []string{roleIngest, roleRules, roleAPI}, registry: prometheus.NewRegistry()}
	defer func() { err = errors.Join(err, n.stop()) }()
	if err := n.openStore(ctx); err != nil {
		return err
	}
	if err := n.openHub(ctx); err != nil {
		return err
	}
	for p := range m.Partitions {
		if err := restoreStream(ctx, n, p, &m.Partitions[p], filepath.Join(streams, fmt.Sprint(p))); err != nil {
			return err
		}
		fmt.Fprintf(out, "stream %d of %d restored: %d messages\n", p+1, len(m.Partitions), m.Partitions[p].Messages)
	}
	return nil
}

func restoreStream(ctx context.Context, n *node, p int, e *bus.Exported, file string) error {
	places, err := n.store.PlacesIn(ctx, p, e.Stream)
	if err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	moved, messages, err := n.hub.Import(ctx, p, f, places)
	if err != nil {
		return err
	}
	if messages != e.Messages {
		return fmt.Errorf("%w: stream %d has %d messages, the manifest says %d", faultline.ErrInvalid, p, messages, e.Messages)
	}
	to := make(map[uint64]uint64, len(places))
	for i, from := range places {
		to[from] = moved[i]
	}
	return n.store.Relocate(ctx, p, e.Stream, n.hub.Stream(p), to)
}
