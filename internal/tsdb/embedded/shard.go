package embedded

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/influxdata/influxdb/coordinator"
	"github.com/influxdata/influxdb/query"
	"github.com/influxdata/influxdb/tsdb"
	"github.com/influxdata/influxdb/tsdb/engine/tsm1"
	"github.com/influxdata/influxql"
)

// The engine answers without a shard that it cannot open, and without a file of points that it cannot read, as if
// nothing had been stored there. So the damaged shards are looked for at the start, and what asks for their time is
// refused with an error that names them. What asks for another time, and every other shard, is not affected.

// findDamaged notes the shards that hold files which cannot be read, and why.
func (e *Engine) findDamaged(dataDir string) error {
	shards, err := filepath.Glob(filepath.Join(dataDir, "*", "*", "*"))
	if err != nil {
		return err
	}
	e.damaged = map[uint64]error{}
	for _, dir := range shards {
		policy := filepath.Dir(dir)
		id, err := strconv.ParseUint(filepath.Base(dir), 10, 64)
		if err != nil || filepath.Base(policy) == tsdb.SeriesFileDirectory {
			continue
		}
		why := ""
		if e.store.Shard(id) == nil { // again, to learn why, or because it opens without the file that was put aside
			if err := e.store.CreateShard(filepath.Base(filepath.Dir(policy)), filepath.Base(policy), id, true); err != nil {
				why = err.Error()
			}
		}
		bad, err := filepath.Glob(filepath.Join(dir, "*."+tsm1.BadTSMFileExtension))
		if err != nil {
			return err
		}
		if len(bad) > 0 {
			why = "points cannot be read, the engine has put aside " + strings.Join(bad, ", ")
		}
		if why == "" {
			continue
		}
		e.damaged[id] = fmt.Errorf("shard %d%s is damaged: %s. Stop the program; then put %s back from a backup, or move it (or the files put aside) elsewhere to go on without what it held; then start again",
			id, e.held(id), why, dir)
		e.cfg.Log.Error("readings cannot be read", "error", e.damaged[id])
	}
	return nil
}

// held tells what a shard holds, as far as it is known.
func (e *Engine) held(id uint64) string {
	db, policy, group := e.meta.ShardOwner(id)
	if group == nil {
		return ""
	}
	return fmt.Sprintf(" of database %q, policy %q, %s to %s,", db, policy, group.StartTime.Format(time.RFC3339), group.EndTime.Format(time.RFC3339))
}

// shardMapper finds the shards of a query, and refuses one that needs a damaged shard.
type shardMapper struct {
	coordinator.LocalShardMapper
	e *Engine
}

func (m *shardMapper) MapShards(sources influxql.Sources, t influxql.TimeRange, o query.SelectOptions) (query.ShardGroup, error) {
	if err := m.whole(sources, time.Unix(0, t.MinTimeNano()), time.Unix(0, t.MaxTimeNano())); err != nil {
		return nil, err
	}
	return m.LocalShardMapper.MapShards(sources, t, o)
}

func (m *shardMapper) whole(sources influxql.Sources, from, to time.Time) error {
	if len(m.e.damaged) == 0 {
		return nil
	}
	for _, s := range sources {
		switch s := s.(type) {
		case *influxql.SubQuery:
			if err := m.whole(s.Statement.Sources, from, to); err != nil {
				return err
			}
		case *influxql.Measurement:
			if s.SystemIterator != "" { // names of fields and tags: the readings are asked for afterwards
				continue
			}
			groups, err := m.MetaClient.ShardGroupsByTimeRange(s.Database, s.RetentionPolicy, from, to)
			if err != nil {
				return err
			}
			for _, g := range groups {
				for _, shard := range g.Shards {
					if err := m.e.damaged[shard.ID]; err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// whileDamaged adds to the error of a write which shards are damaged: it may be for one of them.
func (e *Engine) whileDamaged(err error) string {
	text := err.Error()
	for _, why := range e.damaged {
		text += "; " + why.Error()
	}
	return text
}
