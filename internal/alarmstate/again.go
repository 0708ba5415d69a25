package alarmstate

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/internal/meta"
)

// SendAgain queues a delivery that was given up, with all its attempts before
// it. It returns ErrNotFound when there is none that was given up.
func SendAgain(ctx context.Context, db *bun.DB, workspace, id string) error {
	return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		res, err := tx.NewUpdate().Model((*Delivery)(nil)).Set("state = ?, attempts = 0, next_ms = ?", Queued, time.Now().UnixMilli()).
			Where("id = ? AND workspace = ? AND state = ?", id, workspace, Failed).Exec(ctx)
		if err != nil {
			return fmt.Errorf("cannot queue delivery %q again: %w", id, err)
		}
		if n, err := res.RowsAffected(); err == nil && n == 0 {
			return ErrNotFound
		}
		return meta.Changed(ctx, tx, TopicDeliveries)
	})
}
