//go:build deps

// Package deps pins modules while rooms are being built; removed before the first release.
package deps

import (
	_ "github.com/eclipse/paho.mqtt.golang"
	_ "github.com/gin-gonic/gin"
	_ "github.com/influxdata/influxdb-client-go/v2"
	_ "github.com/influxdata/influxdb/coordinator"
	_ "github.com/influxdata/influxdb/monitor"
	_ "github.com/influxdata/influxdb/services/precreator"
	_ "github.com/influxdata/influxdb/services/retention"
	_ "github.com/influxdata/influxdb/tsdb/engine"
	_ "github.com/influxdata/influxdb/tsdb/index"
	_ "github.com/influxdata/influxql"
	_ "github.com/influxdata/line-protocol/v2/lineprotocol"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/mochi-mqtt/server/v2"
	_ "github.com/mochi-mqtt/server/v2/hooks/auth"
	_ "github.com/mochi-mqtt/server/v2/listeners"
	_ "github.com/nats-io/nats-server/v2/server"
	_ "github.com/nats-io/nats.go"
	_ "github.com/nats-io/nats.go/jetstream"
	_ "github.com/pressly/goose/v3"
	_ "github.com/prometheus/client_golang/prometheus/promhttp"
	_ "github.com/prometheus/client_golang/prometheus/testutil"
	_ "github.com/prometheus/client_golang/prometheus/testutil/promlint"
	_ "github.com/simonvetter/modbus"
	_ "go.uber.org/zap"
	_ "go.yaml.in/yaml/v3"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/sys/unix"
	_ "modernc.org/sqlite"
)
