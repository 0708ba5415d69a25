// Package metatest gives tests an empty metadata database of each kind the
// product supports: SQLite always, PostgreSQL where it can be started.
package metatest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/internal/meta"
)

// EnvPostgres may hold the address of a PostgreSQL server on which the user
// may create databases, instead of one that the test starts.
const EnvPostgres = "PHAROS_TEST_POSTGRES"

// Each runs fn as a subtest on an SQLite file and on PostgreSQL. Where
// PostgreSQL can't be had that subtest is skipped and says why.
func Each(t *testing.T, fn func(t *testing.T, open func(t *testing.T) *bun.DB)) {
	t.Run("sqlite", func(t *testing.T) { fn(t, SQLite) })
	t.Run("postgres", func(t *testing.T) { fn(t, postgres(t)) })
}

// SQLite opens a new database file.
func SQLite(t *testing.T) *bun.DB {
	return open(t, filepath.Join(t.TempDir(), "meta.db"))
}

func open(t *testing.T, dsn string) *bun.DB {
	t.Helper()
	db, err := meta.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// PostgresServer returns the address of a PostgreSQL server with an empty
// database. Where there can be none the test is skipped and says why.
func PostgresServer(t *testing.T) string {
	t.Helper()
	server := os.Getenv(EnvPostgres)
	if server == "" {
		server = startPostgres(t)
	}
	return newDatabase(t, server, fmt.Sprintf("pharos_test_%d", os.Getpid()))
}

// newDatabase makes a database on the server that is dropped after the test.
func newDatabase(t *testing.T, server, name string) string {
	t.Helper()
	admin := open(t, server)
	if _, err := admin.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.ExecContext(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return strings.Replace(server, "/postgres?", "/"+name+"?", 1)
}

// postgres returns a function that makes a new database on a server.
func postgres(t *testing.T) func(*testing.T) *bun.DB {
	server := os.Getenv(EnvPostgres)
	if server == "" {
		server = startPostgres(t)
	}
	var n atomic.Int32
	return func(t *testing.T) *bun.DB {
		t.Helper()
		return open(t, newDatabase(t, server, fmt.Sprintf("pharos_test_%d_%d", os.Getpid(), n.Add(1))))
	}
}

// startPostgres starts a throwaway server that listens on a socket only.
func startPostgres(t *testing.T) string {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(dirs) == 0 {
		t.Skip("PostgreSQL is not installed and " + EnvPostgres + " is not set")
	}
	bin := dirs[len(dirs)-1]
	base, err := os.MkdirTemp("", "pharos-pg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	attr := &syscall.SysProcAttr{}
	if os.Getuid() == 0 { // PostgreSQL refuses to run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			if u, err = user.Lookup("nobody"); err != nil {
				t.Skip("PostgreSQL can't be started: no user to run it as")
			}
		}
		uid, errU := strconv.Atoi(u.Uid)
		gid, errG := strconv.Atoi(u.Gid)
		if errU != nil || errG != nil {
			t.Fatal(errU, errG)
		}
		if err := os.Chown(base, uid, gid); err != nil {
			t.Skip("PostgreSQL can't be started: ", err)
		}
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	data := filepath.Join(base, "data")
	run := func(name string, args ...string) {
		var out bytes.Buffer
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir, cmd.SysProcAttr, cmd.Stdout, cmd.Stderr = base, attr, &out, &out
		if err := cmd.Run(); err != nil {
			t.Skipf("PostgreSQL can't be started: %s: %v: %s", name, err, out.String())
		}
	}
	run("initdb", "-D", data, "-A", "trust", "-U", "pharos", "--no-sync", "-E", "UTF8", "--locale=C")
	run("pg_ctl", "-D", data, "-w", "-l", filepath.Join(base, "log"),
		"-o", "-c listen_addresses='' -c fsync=off -c unix_socket_directories="+base, "start")
	t.Cleanup(func() {
		cmd := exec.Command(filepath.Join(bin, "pg_ctl"), "-D", data, "-m", "immediate", "stop")
		cmd.Dir, cmd.SysProcAttr = base, attr
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("cannot stop PostgreSQL: %v: %s", err, out)
		}
	})
	return "postgres://pharos@/postgres?host=" + base
}
