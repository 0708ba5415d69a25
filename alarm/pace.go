package alarm

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/channel"
	"github.com/pharos-stack/pharos/internal/meta"
)

// Chat robots take 20 requests a minute; DingTalk blocks one that gets more for
// ten minutes (spec 05, ROB-3). We stay below it. The last few requests of a
// minute are kept for digests of all that waits by then, spread over it.
const (
	perMinute   = 18
	singles     = 15
	digestEvery = 10 * time.Second
)

// digestBytes is how much of the notices that wait one digest may tell; 0 is
// for channels without a pace.
func digestBytes(t channel.Type) int {
	switch t {
	case channel.TypeDingTalk:
		return 12 << 10
	case channel.TypeFeishu:
		return 7 << 10
	case channel.TypeWeCom:
		return 2500
	}
	return 0
}

// request is one made to a channel with a pace or a quota. Failed ones count as
// well, and a restart must not forget them.
type request struct {
	bun.BaseModel `bun:"table:alarm_requests"`
	Workspace     string `bun:",notnull"`
	Channel       string `bun:",notnull"`
	AtMs          int64  `bun:",notnull"`
}

var requestMigrations = []meta.Migration{
	meta.CreateTables("requests", (*request)(nil), (*told)(nil)),
	{Name: "requests index", Up: func(ctx context.Context, db bun.IDB) error {
		_, err := db.ExecContext(ctx, "CREATE INDEX alarm_requests_channel ON alarm_requests (workspace, channel, at_ms)")
		return err
	}},
}

// take returns how many of due, sorted by urgency, the next request to their
// channel tells, or how long to wait before it.
func (a *Alarm) take(ctx context.Context, t channel.Type, due []pending) (n int, wait time.Duration, err error) {
	room := digestBytes(t)
	if room == 0 {
		return 1, 0, nil
	}
	first := due[0]
	now := a.o.Now().UnixMilli()
	minute := time.Minute.Milliseconds()
	var recent []int64
	err = a.o.DB.NewSelect().Model((*request)(nil)).Column("at_ms").Where("workspace = ? AND channel = ? AND at_ms > ?", first.Workspace, first.Channel, now-minute).
		Order("at_ms").Scan(ctx, &recent)
	if err != nil {
		return 0, 0, fmt.Errorf("cannot count recent requests to channel %q: %w", first.Channel, err)
	}
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	switch {
	case len(recent) >= perMinute:
		return 0, ms(recent[len(recent)-perMinute] + minute - now), nil
	case len(recent) >= singles:
		last := recent[len(recent)-1]
		if next := last + digestEvery.Milliseconds(); next > now && first.level() != string(alarmrule.P0) {
			return 0, ms(next - now), nil
		}
		for _, p := range due {
			if len(p.events) == 0 {
				break
			}
			if room -= len(p.events[0].Message) + 40; room < 0 && n > 0 {
				break
			}
			n++
		}
	default:
		n = 1
	}
	_, err = a.o.DB.NewInsert().Model(&request{Workspace: first.Workspace, Channel: first.Channel, AtMs: now}).Exec(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("cannot record a request to channel %q: %w", first.Channel, err)
	}
	return n, 0, nil
}
