package alarmstate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/internal/meta"
)

// TellAcknowledged records that by takes care of an alert and queues that for
// those of channels, by name, that were told of the alert. It belongs into the
// transaction of Acknowledge.
func TellAcknowledged(ctx context.Context, db bun.IDB, alertID, by, note string, channels []string) error {
	alert := Alert{ID: alertID}
	if err := db.NewSelect().Model(&alert).WherePK().Scan(ctx); err != nil {
		return fmt.Errorf("cannot read alert %q: %w", alertID, err)
	}
	var told []string
	err := db.NewSelect().Model((*Delivery)(nil)).Distinct().Column("channel").Where("workspace = ? AND alert_id = ?", alert.Workspace, alertID).Order("channel").Scan(ctx, &told)
	if err != nil {
		return fmt.Errorf("cannot read who was told of alert %q: %w", alertID, err)
	}
	now := time.Now().UnixMilli()
	message := fmt.Sprintf("[%s] %s: %s", alert.Level, by, alert.Title)
	if note != "" {
		message += ": " + note
	}
	e := Event{ID: NewID("evt_"), AlertID: alert.ID, Workspace: alert.Workspace, RuleID: alert.RuleID, Rule: alert.Rule, Title: alert.Title,
		Type: EventAcknowledged, Level: alert.Level, Labels: alert.Labels, TimeMs: now, StartedMs: alert.StartedMs, CreatedMs: now,
		Sequence: alert.Checks, Conditions: alert.Conditions, Completeness: 1, Message: message}
	if _, err := db.NewInsert().Model(&e).Exec(ctx); err != nil {
		return fmt.Errorf("cannot record acknowledgement of alert %q: %w", alertID, err)
	}
	for _, name := range told {
		if !slices.Contains(channels, name) {
			continue
		}
		d := Delivery{ID: NewID("dlv_"), EventID: e.ID, More: []string{}, AlertID: alert.ID, Workspace: alert.Workspace, Channel: name,
			State: Queued, CreatedMs: now, NextMs: now}
		if _, err := db.NewInsert().Model(&d).Exec(ctx); err != nil {
			return fmt.Errorf("cannot queue acknowledgement of alert %q: %w", alertID, err)
		}
	}
	return meta.Changed(ctx, db, TopicDeliveries)
}
