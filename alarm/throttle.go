package alarm

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/meta"
)

// throttle is how far a subscription has been told of an alert. There is a row
// from the first notice until the alert ends.
type throttle struct {
	bun.BaseModel  `bun:"table:alarm_throttles"`
	SubscriptionID string `bun:",pk"`
	AlertID        string `bun:",pk"`
	FirstMs        int64  `bun:",notnull"`
	DueMs          int64  `bun:",notnull"` // of the next notice
	Held           int    `bun:",notnull"` // checks since the last one
}

var throttleMigrations = []meta.Migration{meta.CreateTables("throttled subscriptions", (*throttle)(nil))}

// phases of spec 05, §10.10: the minutes between notices and how long it stays so.
var phases = []struct{ every, lasts int64 }{{1, 3}, {2, 4}, {5, 25}, {10, 50}, {30, 150}}

// dueAfter returns the first minute of the schedule after one.
func dueAfter(elapsed int64) int64 {
	begin := int64(0)
	for _, p := range phases {
		if elapsed < begin+p.lasts {
			return begin + ((elapsed-begin)/p.every+1)*p.every
		}
		begin += p.lasts
	}
	return begin + ((elapsed-begin)/60+1)*60
}

// due decides whether a subscription is told of a true check now, and how many
// were held back before it.
func (c *check) due(ctx context.Context, s subscription, e alarmstate.Event) (tell bool, held int, err error) {
	t := throttle{SubscriptionID: s.id, AlertID: e.AlertID}
	err = c.tx.NewSelect().Model(&t).WherePK().Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		t.FirstMs, t.DueMs, err = e.TimeMs, e.TimeMs, nil
	}
	if err != nil {
		return false, 0, fmt.Errorf("cannot read what subscription %q was told: %w", s.name, err)
	}
	tell = !s.Throttled() || e.TimeMs >= t.DueMs
	if tell {
		held, t.Held = t.Held, 0
		t.DueMs = t.FirstMs + dueAfter((e.TimeMs-t.FirstMs)/minuteMs)*minuteMs
	} else {
		t.Held++
	}
	_, err = c.tx.NewInsert().Model(&t).On("CONFLICT (subscription_id, alert_id) DO UPDATE").
		Set("due_ms = EXCLUDED.due_ms, held = EXCLUDED.held").Exec(ctx)
	if err != nil {
		return false, 0, fmt.Errorf("cannot note what subscription %q was told: %w", s.name, err)
	}
	return tell, held, nil
}

// dueAtOnce lets subscriptions be told of an alert at its first check after a
// silence, or forget one that ended in it.
func (c *check) dueAtOnce(ctx context.Context, e alarmstate.Event) error {
	if calm(e.Type) {
		_, err := c.ended(ctx, e.AlertID)
		return err
	}
	_, err := c.tx.NewUpdate().Model((*throttle)(nil)).Set("due_ms = ?, held = held + 1", e.TimeMs).Where("alert_id = ?", e.AlertID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("cannot note that alert %q was silenced: %w", e.AlertID, err)
	}
	return nil
}

// ended forgets who was told of an alert that is over, and returns who that was.
func (c *check) ended(ctx context.Context, alertID string) (map[string]bool, error) {
	var rows []throttle
	if err := c.tx.NewSelect().Model(&rows).Where("alert_id = ?", alertID).Scan(ctx); err != nil {
		return nil, fmt.Errorf("cannot read who was told of alert %q: %w", alertID, err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	told := map[string]bool{}
	for _, t := range rows {
		told[t.SubscriptionID] = true
	}
	_, err := c.tx.NewDelete().Model((*throttle)(nil)).Where("alert_id = ?", alertID).Exec(ctx)
	return told, err
}
