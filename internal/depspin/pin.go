// Package depspin pins modules while the tree is being built up; it goes away.
package depspin

import (
	_ "github.com/ClickHouse/clickhouse-go/v2"
	_ "github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
	_ "github.com/VictoriaMetrics/VictoriaMetrics/lib/storage"
	_ "github.com/alecthomas/kong"
	_ "github.com/cockroachdb/pebble/v2"
	_ "github.com/danielgtaylor/huma/v2"
	_ "github.com/danielgtaylor/huma/v2/adapters/humago"
	_ "github.com/fsnotify/fsnotify"
	_ "github.com/hpcloud/tail"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/prometheus/prometheus/promql"
	_ "github.com/shirou/gopsutil/v4/host"
	_ "github.com/uptrace/bun"
	_ "github.com/uptrace/bun/dialect/pgdialect"
	_ "github.com/uptrace/bun/dialect/sqlitedialect"
	_ "go.yaml.in/yaml/v4"
	_ "golang.org/x/crypto/argon2"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/text/encoding/simplifiedchinese"
	_ "google.golang.org/grpc"
	_ "modernc.org/sqlite"
)
