package alarmstate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/internal/meta"
)

// TopicDeliveries is announced through meta.Changed when a delivery is queued.
const TopicDeliveries = "alarm_deliveries"

// ErrNotFound is returned for an alert that is not in the workspace.
var ErrNotFound = errors.New("not found")

// Page is a slice of a list: Limit rows from Offset on, in the order of Sort,
// a column name with - before it for falling order.
type Page struct {
	Offset, Limit int
	Sort          string
}

// AlertFilter narrows Alerts; zero fields do not.
type AlertFilter struct{ State, Level, Rule string }

// EventFilter narrows Events; zero fields do not.
type EventFilter struct {
	Rule, Level, Type, AlertID string
	StartMs, EndMs             int64
}

// DeliveryFilter narrows Deliveries; zero fields do not.
type DeliveryFilter struct{ Channel, State, EventID string }

// Alerts lists a workspace's alerts and counts all that match.
func Alerts(ctx context.Context, db bun.IDB, workspace string, f AlertFilter, p Page) ([]Alert, int, error) {
	var rows []Alert
	q := where(db.NewSelect().Model(&rows).Where("workspace = ?", workspace),
		equal{"state", f.State}, equal{"level", f.Level}, equal{"rule", f.Rule})
	return page(ctx, q, &rows, p, "-started_ms")
}

// Events lists a workspace's alarm events and counts all that match.
func Events(ctx context.Context, db bun.IDB, workspace string, f EventFilter, p Page) ([]Event, int, error) {
	var rows []Event
	q := where(db.NewSelect().Model(&rows).Where("workspace = ?", workspace),
		equal{"rule", f.Rule}, equal{"level", f.Level}, equal{"type", f.Type}, equal{"alert_id", f.AlertID})
	if f.StartMs > 0 {
		q = q.Where("time_ms >= ?", f.StartMs)
	}
	if f.EndMs > 0 {
		q = q.Where("time_ms <= ?", f.EndMs)
	}
	return page(ctx, q, &rows, p, "-time_ms")
}

// Deliveries lists a workspace's deliveries and counts all that match.
func Deliveries(ctx context.Context, db bun.IDB, workspace string, f DeliveryFilter, p Page) ([]Delivery, int, error) {
	var rows []Delivery
	q := where(db.NewSelect().Model(&rows).Where("workspace = ?", workspace),
		equal{"channel", f.Channel}, equal{"state", f.State}, equal{"event_id", f.EventID})
	return page(ctx, q, &rows, p, "-created_ms")
}

type equal struct{ column, value string }

func where(q *bun.SelectQuery, conditions ...equal) *bun.SelectQuery {
	for _, c := range conditions {
		if c.value != "" {
			q = q.Where("? = ?", bun.Ident(c.column), c.value)
		}
	}
	return q
}

func page[T any](ctx context.Context, q *bun.SelectQuery, rows *[]T, p Page, fallback string) ([]T, int, error) {
	sort := p.Sort
	if sort == "" {
		sort = fallback
	}
	direction := "ASC"
	if sort[0] == '-' {
		sort, direction = sort[1:], "DESC"
	}
	total, err := q.OrderExpr("? "+direction+", id", bun.Ident(sort)).Limit(int64(p.Limit)).Offset(int64(p.Offset)).ScanAndCount(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot list alarm records: %w", err)
	}
	return *rows, int(total), nil
}

// Positions returns how far each rule has been checked, by rule id.
func Positions(ctx context.Context, db bun.IDB) (map[string]Position, error) {
	var rows []Position
	if err := db.NewSelect().Model(&rows).Scan(ctx); err != nil {
		return nil, fmt.Errorf("cannot list alarm positions: %w", err)
	}
	out := make(map[string]Position, len(rows))
	for _, r := range rows {
		out[r.RuleID] = r
	}
	return out, nil
}

// FiringByLevel counts a workspace's firing alerts.
func FiringByLevel(ctx context.Context, db bun.IDB, workspace string) (map[string]int, error) {
	var rows []struct {
		Level string
		Count int
	}
	err := db.NewSelect().Model((*Alert)(nil)).ColumnExpr("level, count(*) AS count").
		Where("workspace = ? AND state = ?", workspace, Firing).Group("level").Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("cannot count firing alerts: %w", err)
	}
	out := map[string]int{}
	for _, r := range rows {
		out[r.Level] = r.Count
	}
	return out, nil
}

// Acknowledge marks a firing alert as taken care of: it is not repeated any
// more, and its recovery is still told.
func Acknowledge(ctx context.Context, db bun.IDB, workspace, alertID, by, note string) error {
	res, err := db.NewUpdate().Model((*Alert)(nil)).
		Set("acknowledged_by = ?, acknowledged_ms = ?, acknowledge_note = ?", by, time.Now().UnixMilli(), note).
		Where("id = ? AND workspace = ? AND state = ?", alertID, workspace, Firing).Exec(ctx)
	if err != nil {
		return fmt.Errorf("cannot acknowledge alert %q: %w", alertID, err)
	}
	if n, err := res.RowsAffected(); err == nil && n == 0 {
		return ErrNotFound
	}
	return nil
}

// SendTest queues a test notice to a channel and waits until the alarm tier
// has sent it, has given it up, or ctx ends.
func SendTest(ctx context.Context, db *bun.DB, workspace, channel, by string) (Delivery, error) {
	now := time.Now().UnixMilli()
	event := Event{ID: NewID("evt_"), Workspace: workspace, Type: EventTest, Level: "P4", Title: "Test notice", TimeMs: now, StartedMs: now,
		CreatedMs: now, Sequence: 1, Completeness: 1, Labels: map[string]string{}, Conditions: []Condition{},
		Message: fmt.Sprintf("Test notice to channel %s, asked for by %s", channel, by)}
	d := Delivery{ID: NewID("dlv_"), EventID: event.ID, Workspace: workspace, Channel: channel, More: []string{}, State: Queued, CreatedMs: now, NextMs: now}
	err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewInsert().Model(&event).Exec(ctx); err != nil {
			return err
		}
		if _, err := tx.NewInsert().Model(&d).Exec(ctx); err != nil {
			return err
		}
		return meta.Changed(ctx, tx, TopicDeliveries)
	})
	if err != nil {
		return d, fmt.Errorf("cannot queue test notice: %w", err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := db.NewSelect().Model(&d).WherePK().Scan(ctx)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return d, fmt.Errorf("cannot follow test notice: %w", err)
		}
		if d.State != Queued || d.Attempts > 0 {
			return d, nil
		}
		select {
		case <-ctx.Done():
			return d, fmt.Errorf("cannot follow test notice: the alarm tier has not taken it up: %w", ctx.Err())
		case <-tick.C:
		}
	}
}
