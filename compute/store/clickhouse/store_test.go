package clickhouse

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/compute/store/storetest"
)

func open(t *testing.T, dsn string, retention time.Duration) *Store {
	t.Helper()
	s, err := Open(context.Background(), Options{DSN: dsn, Retention: retention})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStore(t *testing.T) {
	server(t)
	storetest.Run(t, func(t *testing.T, retention time.Duration) store.Store {
		return open(t, database(t), retention)
	})
}

// A second process sees what the first wrote, changes the retention, and one finds again
// what another deleted and the first writes anew.
func TestTwoProcesses(t *testing.T) {
	dsn := database(t)
	a, b := open(t, dsn, 0), open(t, dsn, 48*time.Hour)
	ctx := context.Background()
	now := time.Now().Truncate(time.Minute).UnixMilli()
	ls := store.FromStrings("__name__", "x:count")
	read := func(s *Store) (values []float64) {
		t.Helper()
		err := s.Select(ctx, []store.Matcher{{Name: "__name__", Value: "x:count"}}, now, now, store.Limits{}, func(x *store.Series) error {
			values = append(values, x.Values...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return values
	}
	write := func(s *Store, revision uint32, v float64) {
		t.Helper()
		if err := s.WriteWindows(ctx, []store.WindowSample{{Labels: ls, StartMs: now, WindowMs: 60_000, Revision: revision, Value: v}}); err != nil {
			t.Fatal(err)
		}
	}
	write(a, 2, 20)
	write(b, 1, 10)
	if got := read(b); len(got) != 1 || got[0] != 20 {
		t.Fatalf("b reads %v", got)
	}
	var create string
	if err := a.conn.QueryRow(ctx, "SHOW CREATE TABLE "+a.db+".samples").Scan(&create); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"toIntervalDay(2)", "ReplacingMergeTree(revision)", "fsync_after_insert = 1", "CODEC(Gorilla"} {
		if !strings.Contains(create, want) {
			t.Errorf("no %q in %s", want, create)
		}
	}
}

// The statements for a cluster, as text: the engine of the tests refuses ON CLUSTER.
func TestClusterSchema(t *testing.T) {
	all := strings.Join(schema("pharos", "main", store.Retention{Base: store.DefaultRetention, FiveMinutes: 90 * 24 * time.Hour, OneHour: 400 * 24 * time.Hour}), ";\n")
	for _, want := range []string{
		"CREATE DATABASE IF NOT EXISTS `pharos` ON CLUSTER `main`",
		"CREATE TABLE IF NOT EXISTS `pharos`.samples_local ON CLUSTER `main`",
		"ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/pharos/samples_local', '{replica}', revision)",
		"ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/pharos/series_local', '{replica}')",
		"CREATE TABLE IF NOT EXISTS `pharos`.samples_1h ON CLUSTER `main` AS `pharos`.samples_1h_local",
		"ALTER TABLE `pharos`.samples_5m_local ON CLUSTER `main` MODIFY TTL toDateTime(intDiv(time_ms, 1000), 'UTC') + INTERVAL 90 DAY",
		"ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/pharos/rows_local', '{replica}')",
		"CREATE TABLE IF NOT EXISTS `pharos`.samples ON CLUSTER `main` AS `pharos`.samples_local\nENGINE = Distributed(`main`, 'pharos', 'samples_local', cityHash64(id))",
		"ALTER TABLE `pharos`.samples_local ON CLUSTER `main` MODIFY TTL toDateTime(intDiv(time_ms, 1000), 'UTC') + INTERVAL 21 DAY",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in:\n%s", want, all)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	if _, err := Open(context.Background(), Options{DSN: "http://127.0.0.1:1/x"}); err == nil {
		t.Error("opened a server that is not there")
	}
	if _, err := Open(context.Background(), Options{DSN: "http://127.0.0.1:1/x", Retention: time.Hour}); err == nil || !strings.Contains(err.Error(), "day") {
		t.Errorf("retention: %v", err)
	}
}

func TestRows(t *testing.T) {
	server(t)
	storetest.RunRows(t, func(t *testing.T, retention time.Duration) store.Rows {
		r, err := OpenRows(context.Background(), Options{DSN: database(t), Retention: retention})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		return r
	})
}
