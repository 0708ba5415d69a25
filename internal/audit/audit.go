// Package audit keeps the log of who changed what and when. Entries are
// written in the transaction of the change, so that none is missing and none
// tells of a change that did not happen. Secrets never enter it.
package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/internal/meta"
)

// Actor is who makes a change.
type Actor struct {
	// Name is the user's name, or the user and token, such as "ann (token ci)".
	Name string
	// RequestID ties the entry to the request that asked for it.
	RequestID string
}

// Entry is one change.
type Entry struct {
	bun.BaseModel `bun:"table:audit_log"`
	ID            int64  `bun:",pk,autoincrement" json:"id"`
	TimeMs        int64  `bun:",notnull" json:"time_ms"`
	Actor         string `bun:",notnull" json:"actor"`
	RequestID     string `bun:",notnull" json:"request_id"`
	// Workspace is empty for changes to the installation.
	Workspace string `bun:",notnull" json:"workspace"`
	// Action is what was done, such as create, update, delete, login.
	Action   string `bun:",notnull" json:"action"`
	Kind     string `bun:",notnull" json:"kind"`
	Name     string `bun:",notnull" json:"name"`
	ObjectID string `bun:",notnull" json:"object_id"`
	// Before and After are JSON without secrets; absent when there was or is nothing.
	Before string `bun:",notnull" json:"-"`
	After  string `bun:",notnull" json:"-"`
}

// Migrations of the table.
var Migrations = []meta.Migration{
	meta.CreateTables("audit log", (*Entry)(nil)),
	{Name: "audit indexes", Up: func(ctx context.Context, db bun.IDB) error {
		_, err := db.ExecContext(ctx, "CREATE INDEX audit_log_workspace ON audit_log (workspace, id)")
		return err
	}},
}

// Record adds an entry by actor as part of the transaction db. Before and
// after are written as JSON; nil stands for nothing.
func Record(ctx context.Context, db bun.IDB, actor Actor, e Entry, before, after any) error {
	e.TimeMs, e.Actor, e.RequestID = time.Now().UnixMilli(), actor.Name, actor.RequestID
	for _, side := range []struct {
		from any
		to   *string
	}{{before, &e.Before}, {after, &e.After}} {
		if side.from == nil {
			continue
		}
		text, err := json.Marshal(side.from)
		if err != nil {
			return fmt.Errorf("cannot write audit entry: %w", err)
		}
		*side.to = string(text)
	}
	if _, err := db.NewInsert().Model(&e).Exec(ctx); err != nil {
		return fmt.Errorf("cannot write audit entry: %w", err)
	}
	return nil
}

// Filter narrows List; zero fields do not.
type Filter struct {
	Workspace, Actor, Kind, Name, Action string
	StartMs, EndMs                       int64
}

// List returns entries, newest first, and how many match.
func List(ctx context.Context, db bun.IDB, f Filter, offset, limit int) ([]Entry, int, error) {
	var rows []Entry
	q := db.NewSelect().Model(&rows).Order("id DESC").Limit(int64(limit)).Offset(int64(offset))
	for column, value := range map[string]string{"workspace": f.Workspace, "actor": f.Actor, "kind": f.Kind, "name": f.Name, "action": f.Action} {
		if value != "" {
			q = q.Where("? = ?", bun.Ident(column), value)
		}
	}
	if f.StartMs > 0 {
		q = q.Where("time_ms >= ?", f.StartMs)
	}
	if f.EndMs > 0 {
		q = q.Where("time_ms <= ?", f.EndMs)
	}
	total, err := q.ScanAndCount(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot list audit log: %w", err)
	}
	return rows, int(total), nil
}
