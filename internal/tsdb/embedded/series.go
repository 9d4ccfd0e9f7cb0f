package embedded

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/influxdata/influxdb/models"
	"github.com/influxdata/influxdb/tsdb"
	"github.com/influxdata/influxql"
)

// maxKnown bounds the series that are remembered; beyond it all are forgotten and learned again.
const maxKnown = 1_000_000

// seriesSync makes new series as durable as their points. The engine syncs its write-ahead log and its
// index before it answers, but not the file that gives series their numbers: after a loss of power the
// index could name a number that the file gives to another series later. So the first write of each
// series since the start syncs that file before it is answered; a series is new rarely.
type seriesSync struct {
	dir  string // of the databases
	sync func(path string) error

	mu    sync.Mutex
	seed  maphash.Seed
	known map[uint64]struct{} // hashes of database and series
}

func newSeriesSync(dir string) *seriesSync {
	return &seriesSync{dir: dir, sync: syncFile, seed: maphash.MakeSeed(), known: map[uint64]struct{}{}}
}

// unknown gives the hashes of those series among the points' that were not synced since the start.
func (s *seriesSync) unknown(db string, points []models.Point) (hashes []uint64) {
	base := maphash.String(s.seed, db)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range points {
		h := base ^ maphash.Bytes(s.seed, p.Key())
		if _, ok := s.known[h]; !ok {
			hashes = append(hashes, h)
		}
	}
	return hashes
}

// done syncs the database's series, after the points were written, if there are new ones. Only if all
// points were taken is it known that all series were made, and need not be synced again.
func (s *seriesSync) done(db string, hashes []uint64, all bool) error {
	if len(hashes) == 0 {
		return nil
	}
	if err := s.syncAll(filepath.Join(s.dir, db, tsdb.SeriesFileDirectory)); err != nil {
		return fmt.Errorf("sync the series of %q: %w", db, err)
	}
	if !all {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known)+len(hashes) > maxKnown {
		clear(s.known)
	}
	for _, h := range hashes {
		s.known[h] = struct{}{}
	}
	return nil
}

// syncAll syncs a series file: it has partitions, each with segments 0000, 0001 … Only the last of them
// is written to, but the one before it may have been filled by the same write.
func (s *seriesSync) syncAll(dir string) error {
	partitions, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // every point was refused: there are no series yet
	}
	if err != nil {
		return err
	}
	for _, p := range partitions {
		files, err := os.ReadDir(filepath.Join(dir, p.Name())) // sorted
		if err != nil {
			return err
		}
		files = slices.DeleteFunc(files, func(f os.DirEntry) bool { return !tsdb.IsValidSeriesSegmentFilename(f.Name()) })
		for _, f := range files[max(0, len(files)-2):] {
			if err := s.sync(filepath.Join(dir, p.Name(), f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// forgetAfter is for when a query has removed series: those that are made again are new.
func (s *seriesSync) forgetAfter(q *influxql.Query) {
	for _, st := range q.Statements {
		switch st.(type) {
		case *influxql.DropDatabaseStatement, *influxql.DropRetentionPolicyStatement, *influxql.DropMeasurementStatement,
			*influxql.DropSeriesStatement, *influxql.DropShardStatement, *influxql.DeleteSeriesStatement:
			s.mu.Lock()
			clear(s.known)
			s.mu.Unlock()
		}
	}
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
