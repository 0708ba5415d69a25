// Package meta opens the metadata database, SQLite by default or PostgreSQL,
// and runs the migrations that capabilities bring for their own tables.
//
// It promises that a migration runs once, in order and in a transaction, and
// that every process sharing the database learns of a change within a second
// through Watch.
package meta

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"modernc.org/sqlite" // driver "sqlite", pure Go
	sqlitelib "modernc.org/sqlite/lib"
)

// Migration is one step of a component's schema.
type Migration struct {
	Name string
	Up   func(ctx context.Context, db bun.IDB) error
}

// schemaVersion records how many migrations of a component have run.
type schemaVersion struct {
	bun.BaseModel `bun:"table:schema_versions"`
	Component     string `bun:",pk"`
	Version       int    `bun:",notnull"`
}

// change counts the changes of a topic.
type change struct {
	bun.BaseModel `bun:"table:changes"`
	Topic         string `bun:",pk"`
	Seq           int64  `bun:",notnull"`
}

// Open opens the database at dsn: postgres://… or the path of an SQLite file.
func Open(ctx context.Context, dsn string) (*bun.DB, error) {
	db, err := connect(dsn)
	if err != nil {
		return nil, fmt.Errorf("cannot open metadata database: %w", err)
	}
	deadline := time.Now().Add(lockTimeout)
	for err = prepare(ctx, db); isLocked(err) && time.Now().Before(deadline) && ctx.Err() == nil; err = prepare(ctx, db) {
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot prepare metadata database: %w", err), db.Close())
	}
	return db, nil
}

// lockTimeout is how long one waits for another that writes to the same SQLite file.
const lockTimeout = 10 * time.Second

// idleInTx is how long a session of PostgreSQL may leave a transaction open without a statement.
const idleInTx = 10 * time.Second

// isLocked reports whether another process held a lock that SQLite does not
// wait for, which is so while one of them makes the file a WAL one.
func isLocked(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlitelib.SQLITE_BUSY
}

// prepareLock is the number of PostgreSQL's advisory lock for prepare, made up.
const prepareLock = 0x706861726f73

// prepare makes the tables of this package. On PostgreSQL CREATE TABLE IF NOT
// EXISTS fails when another does the same at that moment, and there is no table
// yet to lock, so that processes which start at once take turns.
func prepare(ctx context.Context, db *bun.DB) error {
	return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if db.Dialect().Name() == dialect.PG {
			if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(?)", int64(prepareLock)); err != nil {
				return err
			}
		}
		for _, model := range []any{(*schemaVersion)(nil), (*change)(nil)} {
			if _, err := tx.NewCreateTable().Model(model).IfNotExists().Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

func connect(dsn string) (*bun.DB, error) {
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		config, err := pgx.ParseConfig(dsn)
		if err != nil {
			return nil, err
		}
		// A process that is frozen, or a machine that is cut off, must not keep its locks from all others.
		limit := fmt.Sprintf("SET idle_in_transaction_session_timeout = %d", idleInTx.Milliseconds())
		pool := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, limit)
			return err
		}))
		return bun.NewDB(pool, pgdialect.New()), nil
	}
	// WAL lets several processes read while one writes; a writer waits for another.
	wait := fmt.Sprintf("busy_timeout(%d)", lockTimeout.Milliseconds())
	options := url.Values{"_pragma": {wait, "journal_mode(WAL)", "foreign_keys(1)", "synchronous(FULL)"}, "_txlock": {"immediate"}}
	pool, err := sql.Open("sqlite", "file:"+(&url.URL{Path: dsn}).EscapedPath()+"?"+options.Encode())
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(8)
	return bun.NewDB(pool, sqlitedialect.New()), nil
}

// Migrate brings a component's tables up to date. Two processes may call it at
// once: the second waits or finds the work done.
func Migrate(ctx context.Context, db *bun.DB, component string, steps []Migration) error {
	err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if db.Dialect().Name() == dialect.PG {
			if _, err := tx.ExecContext(ctx, "LOCK TABLE schema_versions IN ACCESS EXCLUSIVE MODE"); err != nil {
				return err
			}
		}
		have := schemaVersion{Component: component}
		if err := tx.NewSelect().Model(&have).WherePK().Scan(ctx); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if have.Version > len(steps) {
			return fmt.Errorf("the database is at version %d, this program knows %d: use a newer program", have.Version, len(steps))
		}
		for _, step := range steps[have.Version:] {
			if err := step.Up(ctx, tx); err != nil {
				return fmt.Errorf("step %q: %w", step.Name, err)
			}
		}
		_, err := tx.NewInsert().Model(&schemaVersion{Component: component, Version: len(steps)}).
			On("CONFLICT (component) DO UPDATE").Set("version = EXCLUDED.version").Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot migrate tables of %s: %w", component, err)
	}
	return nil
}

// CreateTables returns a migration step that creates the tables of models.
func CreateTables(name string, models ...any) Migration {
	return Migration{Name: name, Up: func(ctx context.Context, db bun.IDB) error {
		for _, model := range models {
			if _, err := db.NewCreateTable().Model(model).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	}}
}

// Changed announces a change of topic to Watch, as part of the transaction db.
func Changed(ctx context.Context, db bun.IDB, topic string) error {
	_, err := db.NewInsert().Model(&change{Topic: topic, Seq: 1}).
		On("CONFLICT (topic) DO UPDATE").Set("seq = ?TableAlias.seq + 1").Exec(ctx)
	if err != nil {
		return fmt.Errorf("cannot announce change of %q: %w", topic, err)
	}
	return nil
}

// Watch calls fn at once and again after each announced change of one of the
// topics, at most half a second later, until ctx ends. fn's error is logged
// and fn is tried again a second later.
func Watch(ctx context.Context, db *bun.DB, log *slog.Logger, topics []string, fn func(context.Context) error) {
	last := map[string]int64{}
	due := true
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		var rows []change
		if err := db.NewSelect().Model(&rows).Where("topic IN (?)", bun.List(topics)).Scan(ctx); err != nil && ctx.Err() == nil {
			log.Warn("cannot look for metadata changes", "err", err)
		}
		for _, r := range rows {
			if last[r.Topic] != r.Seq {
				last[r.Topic], due = r.Seq, true
			}
		}
		if due && ctx.Err() == nil {
			if err := fn(ctx); err == nil {
				due = false
			} else if ctx.Err() == nil {
				log.Warn("cannot load changed metadata, trying again", "topics", topics, "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
