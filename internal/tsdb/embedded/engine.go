// Package embedded runs the storage and query engine of InfluxDB 1.8 inside the process and serves it
// over loopback HTTP as InfluxDB clients and Grafana expect it. Nothing else in this program knows that
// it is embedded: everybody speaks HTTP to it, so that a server of its own can take its place.
//
// What a crash leaves: a write is answered with 204 after its write-ahead log, and the file that numbers
// its series, were synced, so that every answered write survives; an unanswered one may or may not be
// there, and writing it again makes the same points. The directory is locked while the engine is open; a lock dies with its process.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/influxdata/influxdb/coordinator"
	"github.com/influxdata/influxdb/monitor"
	"github.com/influxdata/influxdb/query"
	"github.com/influxdata/influxdb/services/meta"
	"github.com/influxdata/influxdb/services/precreator"
	"github.com/influxdata/influxdb/services/retention"
	"github.com/influxdata/influxdb/toml"
	"github.com/influxdata/influxdb/tsdb"
	_ "github.com/influxdata/influxdb/tsdb/engine" // the tsm1 engine registers itself
	_ "github.com/influxdata/influxdb/tsdb/index"  // the tsi1 index registers itself
	"go.uber.org/zap"
)

// Config of the engine. Dir is required; the zero value of everything else is a default.
type Config struct {
	Dir    string       // made if it does not exist; one process at a time
	Listen string       // "127.0.0.1:0" by default; a host that is not loopback is the caller's decision
	Token  string       // by default a random one, kept in Dir/token
	Log    *slog.Logger // discarded by default

	// Database, if named, exists when Open returns, with the retention policy Policy as its default,
	// keeping points for Retention (0 = for ever) in shards of Shard.
	Database  string
	Policy    string        // "raw" by default
	Retention time.Duration // at least 1 h
	Shard     time.Duration // by default chosen by InfluxDB from Retention

	RetentionCheck time.Duration // how often expired shards are looked for; 30 min by default
	QueryTimeout   time.Duration // 60 s by default
	MaxQueries     int           // at the same time; 32 by default, more are refused
	MaxBody        int64         // of a write, in bytes, unpacked; 25 MB by default
	MaxRows        int           // of one answer that is not chunked; 1,000,000 by default, then it says "partial"
}

func (c *Config) defaults() {
	set(&c.Listen, "127.0.0.1:0")
	set(&c.Policy, "raw")
	set(&c.RetentionCheck, 30*time.Minute)
	set(&c.QueryTimeout, 60*time.Second)
	set(&c.MaxQueries, 32)
	set(&c.MaxBody, 25<<20)
	set(&c.MaxRows, 1_000_000)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Log = c.Log.With("component", "influx")
}

func set[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Engine is a running engine with its listener.
type Engine struct {
	cfg  Config
	url  string
	meta *meta.Client
	pw   *coordinator.PointsWriter
	qe   *query.Executor

	store   *tsdb.Store
	damaged map[uint64]error // shards that cannot be read, and why

	series *seriesSync

	once     sync.Once
	closeErr error
	closers  []func() error // run last in, first out
}

// Open starts the engine and its listener; the caller closes it. It answers requests when Open returns.
func Open(c Config) (_ *Engine, err error) {
	if c.Dir == "" {
		return nil, errors.New("open the embedded time-series engine: no directory given")
	}
	c.defaults()
	e := &Engine{cfg: c}
	defer func() {
		if err != nil {
			_ = e.Close()
		}
	}()
	if err := e.openStore(); err != nil {
		return nil, fmt.Errorf("open the embedded time-series engine in %s: %w", c.Dir, err)
	}
	if c.Database != "" {
		if err := e.createDatabase(); err != nil {
			return nil, fmt.Errorf("create database %q in %s: %w", c.Database, c.Dir, err)
		}
	}
	if err := e.serve(); err != nil {
		return nil, fmt.Errorf("serve the embedded time-series engine on %s: %w", c.Listen, err)
	}
	return e, nil
}

// openStore opens in the order that the parts depend on each other: lock, meta, store, writer,
// executor, services.
func (e *Engine) openStore() error {
	c := &e.cfg
	metaDir, dataDir, walDir := filepath.Join(c.Dir, "meta"), filepath.Join(c.Dir, "data"), filepath.Join(c.Dir, "wal")
	for _, d := range []string{metaDir, dataDir, walDir} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	lock, err := lockFile(filepath.Join(c.Dir, "lock"))
	if err != nil {
		return fmt.Errorf("another process uses this directory: %w", err)
	}
	e.onClose(lock.Close)
	if c.Token == "" {
		if c.Token, err = loadToken(filepath.Join(c.Dir, "token")); err != nil {
			return err
		}
	}
	logger := zap.New(zapCore{log: c.Log})

	mc := meta.NewConfig()
	mc.Dir, mc.LoggingEnabled = metaDir, false
	e.meta = meta.NewClient(mc)
	e.meta.WithLogger(logger)
	if err := e.meta.Open(); err != nil {
		return fmt.Errorf("meta: %w", err)
	}
	e.onClose(e.meta.Close)

	repaired, err := repairIndexes(dataDir)
	for _, shard := range repaired {
		c.Log.Warn("the index of a shard was broken, as after a loss of power: it is made anew from its points", "shard", shard)
	}
	if err != nil {
		return fmt.Errorf("repair an index: %w", err)
	}

	tc := tsdb.NewConfig()
	tc.Dir, tc.WALDir, tc.Index = dataDir, walDir, tsdb.TSI1IndexName
	tc.QueryLogEnabled = false
	tc.WALFsyncDelay = 0 // an answered write is on disk
	if err := tc.Validate(); err != nil {
		return err
	}
	store := tsdb.NewStore(dataDir)
	store.EngineOptions.Config = tc
	store.EngineOptions.EngineVersion = tc.Engine
	store.EngineOptions.IndexVersion = tc.Index // read apart from Config.Index
	store.WithLogger(logger)
	e.onClose(store.Close)
	e.store = store
	if err := store.Open(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := e.findDamaged(dataDir); err != nil {
		return fmt.Errorf("look for damaged shards: %w", err)
	}

	e.pw = coordinator.NewPointsWriter()
	e.pw.WriteTimeout = 30 * time.Second
	e.pw.MetaClient, e.pw.TSDBStore = e.meta, store
	e.pw.WithLogger(logger)
	if err := e.pw.Open(); err != nil {
		return err
	}
	e.onClose(e.pw.Close)

	e.series = newSeriesSync(dataDir)

	e.qe = query.NewExecutor()
	e.qe.WithLogger(logger)
	e.qe.TaskManager.QueryTimeout = c.QueryTimeout
	e.qe.TaskManager.MaxConcurrentQueries = c.MaxQueries
	e.qe.StatementExecutor = &coordinator.StatementExecutor{
		MetaClient:        e.meta,
		TaskManager:       e.qe.TaskManager,
		TSDBStore:         store,
		ShardMapper:       &shardMapper{coordinator.LocalShardMapper{MetaClient: e.meta, TSDBStore: coordinator.LocalTSDBStore{Store: store}}, e},
		Monitor:           monitor.New(nil, monitor.Config{}), // never opened: SHOW STATS needs one to ask
		PointsWriter:      e.pw,
		MaxSelectBucketsN: 1_000_000,
	}
	e.onClose(e.qe.Close)

	rc := retention.NewConfig()
	rc.CheckInterval = toml.Duration(c.RetentionCheck)
	ret := retention.NewService(rc)
	ret.MetaClient, ret.TSDBStore = e.meta, store
	ret.WithLogger(logger)
	if err := ret.Open(); err != nil {
		return err
	}
	e.onClose(ret.Close)
	pre := precreator.NewService(precreator.NewConfig())
	pre.MetaClient = e.meta
	pre.WithLogger(logger)
	if err := pre.Open(); err != nil {
		return err
	}
	e.onClose(pre.Close)
	return nil
}

func (e *Engine) createDatabase() error {
	c := &e.cfg
	if d := e.meta.Database(c.Database); d != nil {
		if p := d.RetentionPolicy(c.Policy); p != nil {
			if p.Duration == c.Retention && d.DefaultRetentionPolicy == c.Policy {
				return nil
			}
			u := &meta.RetentionPolicyUpdate{Duration: &c.Retention}
			if c.Shard > 0 {
				u.ShardGroupDuration = &c.Shard
			}
			return e.meta.UpdateRetentionPolicy(c.Database, c.Policy, u, true)
		}
	}
	replicas := 1
	spec := &meta.RetentionPolicySpec{Name: c.Policy, Duration: &c.Retention, ShardGroupDuration: c.Shard, ReplicaN: &replicas}
	if e.meta.Database(c.Database) != nil {
		_, err := e.meta.CreateRetentionPolicy(c.Database, spec, true)
		return err
	}
	_, err := e.meta.CreateDatabaseWithRetentionPolicy(c.Database, spec)
	return err
}

func (e *Engine) serve() error {
	l, err := net.Listen("tcp", e.cfg.Listen)
	if err != nil {
		return err
	}
	s := &http.Server{
		Handler:           e.handler(),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(e.cfg.Log.Handler(), slog.LevelWarn),
	}
	e.url = "http://" + l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	e.onClose(func() error {
		ctx, cancel := context.WithTimeoutCause(context.Background(), 5*time.Second, errors.New("requests still running after 5 s"))
		defer cancel()
		err := s.Shutdown(ctx)
		if err != nil {
			err = fmt.Errorf("stop the listener: %w", context.Cause(ctx))
			_ = s.Close()
		}
		if served := <-done; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	})
	return nil
}

// URL is where the engine answers, such as "http://127.0.0.1:40123".
func (e *Engine) URL() string { return e.url }

// Token is what requests must carry.
func (e *Engine) Token() string { return e.cfg.Token }

// Close answers the requests that are under way (for at most 5 s), then closes the store. It may be
// called more than once.
func (e *Engine) Close() error {
	e.once.Do(func() {
		var errs []error
		for i := len(e.closers) - 1; i >= 0; i-- {
			errs = append(errs, e.closers[i]())
		}
		e.closeErr = errors.Join(errs...)
	})
	return e.closeErr
}

func (e *Engine) onClose(f func() error) { e.closers = append(e.closers, f) }

var _ io.Closer = (*Engine)(nil)
