package clickhouse

import (
	"fmt"
	"strings"
	"time"

	"github.com/pharos-stack/pharos/compute/store"
)

// table is one table's parts that all forms of it share.
type table struct {
	name, columns, engine, version, tail, shard string
}

// schema returns the statements that create what is missing and set the retention.
func schema(db, cluster string, keep store.Retention) []string {
	var tables []table
	for _, l := range levels {
		tables = append(tables, seriesTables(l, wholeDays(keep.Of(l)))...)
	}
	tables = append(tables, rowsTable(wholeDays(keep.Base)))
	onCluster := ""
	if cluster != "" {
		onCluster = " ON CLUSTER " + quoteName(cluster)
	}
	q := quoteName(db)
	out := []string{"CREATE DATABASE IF NOT EXISTS " + q + onCluster}
	for _, t := range tables {
		out = append(out, t.create(db, cluster, onCluster))
		if cluster != "" {
			out = append(out, fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s.%s%s AS %s.%s\nENGINE = Distributed(%s, %s, %s, %s)",
				q, t.name, onCluster, q, t.name+localSuffix(cluster), quoteName(cluster), quote(db), quote(t.name+localSuffix(cluster)), t.shard))
		}
		ttl := t.tail[strings.Index(t.tail, "TTL "):]
		out = append(out, fmt.Sprintf("ALTER TABLE %s.%s%s MODIFY %s\nSETTINGS materialize_ttl_after_modify = 0", q, t.name+localSuffix(cluster), onCluster, ttl))
	}
	return out
}

// levels of windows, each with tables of its own.
var levels = [store.Levels]store.Level{store.Base, store.FiveMinutes, store.OneHour}

// suffix is what the tables of a level have at the end of their names.
func suffix(l store.Level) string { return [store.Levels]string{"", "_5m", "_1h"}[l] }

func wholeDays(d time.Duration) int { return int((d + 24*time.Hour - 1) / (24 * time.Hour)) }

// seriesTables are the index and the values of a level.
func seriesTables(l store.Level, days int) []table {
	return []table{
		{
			name: "series" + suffix(l),
			columns: `id FixedString(16),
	day Date,
	name LowCardinality(String),
	window_ms Int64,
	labels Map(LowCardinality(String), String) CODEC(ZSTD(1))`,
			engine: "ReplacingMergeTree", version: "",
			tail: fmt.Sprintf(`PARTITION BY toMonday(day)
ORDER BY (name, day, id)
TTL day + INTERVAL %d DAY`, days+1),
			shard: "cityHash64(id)",
		},
		{
			name: "samples" + suffix(l),
			columns: `id FixedString(16),
	time_ms Int64 CODEC(DoubleDelta, ZSTD(1)),
	revision UInt32 CODEC(T64, ZSTD(1)),
	value Float64 CODEC(Gorilla, ZSTD(1))`,
			engine: "ReplacingMergeTree", version: "revision",
			tail: fmt.Sprintf(`PARTITION BY toMonday(toDateTime(intDiv(time_ms, 1000), 'UTC'))
ORDER BY (id, time_ms)
TTL toDateTime(intDiv(time_ms, 1000), 'UTC') + INTERVAL %d DAY`, days),
			shard: "cityHash64(id)",
		},
	}
}

func rowsTable(days int) table {
	return table{
		name: "rows",
		columns: `stream_id FixedString(16),
	stream Map(LowCardinality(String), String) CODEC(ZSTD(1)),
	time_ns Int64 CODEC(Delta, ZSTD(1)),
	fields Map(LowCardinality(String), String) CODEC(ZSTD(3))`,
		engine: "MergeTree", version: "",
		tail: fmt.Sprintf(`PARTITION BY toMonday(toDateTime(intDiv(time_ns, 1000000000), 'UTC'))
ORDER BY (stream_id, time_ns)
TTL toDateTime(intDiv(time_ns, 1000000000), 'UTC') + INTERVAL %d DAY`, days),
		shard: "cityHash64(stream_id)",
	}
}

func (t table) create(db, cluster, onCluster string) string {
	engine, args := t.engine, t.version
	if cluster != "" {
		engine = "Replicated" + engine
		args = fmt.Sprintf("'/clickhouse/tables/{shard}/%s/%s', '{replica}'", db, t.name+localSuffix(cluster))
		if t.version != "" {
			args += ", " + t.version
		}
	}
	return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s.%s%s (\n\t%s\n)\nENGINE = %s(%s)\n%s\nSETTINGS fsync_after_insert = 1, fsync_part_directory = 1",
		quoteName(db), t.name+localSuffix(cluster), onCluster, t.columns, engine, args, t.tail)
}

// localSuffix is what the tables under the Distributed ones are called by.
func localSuffix(cluster string) string {
	if cluster == "" {
		return ""
	}
	return "_local"
}

var quoter = strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\x00", `\0`)

// quote writes a string literal.
func quote(s string) string { return "'" + quoter.Replace(s) + "'" }

// quoteName writes an identifier.
func quoteName(s string) string {
	return "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(s) + "`"
}
