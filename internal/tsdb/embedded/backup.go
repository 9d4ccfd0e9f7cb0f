package embedded

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"time"

	"github.com/influxdata/influxdb/tsdb"
	"github.com/influxdata/influxdb/tsdb/engine/tsm1"
)

// Backup writes the engine's databases as files of an archive below dir, beside reads and writes: what
// was answered before it began is in it. Restored into an empty directory, which the files' names are
// relative to, the engine opens with them and makes its index and its series anew from the data.
func (e *Engine) Backup(ctx context.Context, w *tar.Writer, dir string) error {
	data := e.meta.Data()
	b, err := data.MarshalBinary()
	if err != nil {
		return fmt.Errorf("back up the time series: %w", err)
	}
	if err := addFile(w, path.Join(dir, "meta", "meta.db"), int64(len(b)), func(w io.Writer) error { _, err := w.Write(b); return err }); err != nil {
		return fmt.Errorf("back up the time series: %w", err)
	}
	for _, db := range data.Databases {
		for _, rp := range db.RetentionPolicies {
			for _, group := range rp.ShardGroups {
				for _, shard := range group.Shards {
					if group.Deleted() {
						continue
					}
					if err := e.backupShard(ctx, w, path.Join(dir, "data", db.Name, rp.Name, strconv.FormatUint(shard.ID, 10)), shard.ID); err != nil {
						return fmt.Errorf("back up shard %d of %s.%s: %w", shard.ID, db.Name, rp.Name, err)
					}
				}
			}
		}
	}
	return nil
}

// backupShard brings what the shard has in memory to disk, and copies links to its files, which do not
// change any more.
func (e *Engine) backupShard(ctx context.Context, w *tar.Writer, dir string, id uint64) error {
	var snapshot string
	for attempt := 0; ; attempt++ {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		var err error
		snapshot, err = e.store.CreateShardSnapshot(id, false)
		if err == nil {
			break
		}
		if errors.Is(err, tsdb.ErrShardNotFound) || errors.Is(err, tsdb.ErrShardDeletion) {
			return nil // its time has expired meanwhile, or nothing was written to it
		}
		if !errors.Is(err, tsm1.ErrSnapshotInProgress) || attempt == 100 {
			return err
		}
		select { // another one writes what is in memory: wait for it
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	defer func() { _ = os.RemoveAll(snapshot) }() // else the engine does it when it opens
	files, err := os.ReadDir(snapshot)
	if err != nil {
		return err
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			continue
		}
		err = addFile(w, path.Join(dir, f.Name()), info.Size(), func(w io.Writer) error {
			in, err := os.Open(filepath.Join(snapshot, f.Name()))
			if err != nil {
				return err
			}
			_, err = io.CopyN(w, in, info.Size())
			return errors.Join(err, in.Close())
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func addFile(w *tar.Writer, name string, size int64, write func(io.Writer) error) error {
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, Format: tar.FormatPAX}); err != nil {
		return err
	}
	return write(w)
}
