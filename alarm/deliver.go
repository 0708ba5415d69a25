package alarm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/channel"
)

// retryAfter is the wait after each failed attempt; after the last the
// delivery is given up (spec 05, WHK-1).
var retryAfter = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour}

// permanent marks an answer that trying again will not change.
type permanent struct{ error }

// deliverLoop hands due deliveries to one worker a channel, so that a slow
// receiver delays no other, and keeps their order within a channel.
func (a *Alarm) deliverLoop(ctx context.Context) {
	var workers sync.WaitGroup
	defer workers.Wait()
	var mu sync.Mutex
	busy := map[[2]string]bool{}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		var due []alarmstate.Delivery
		err := a.o.DB.NewSelect().Model(&due).Where("state = ? AND next_ms <= ?", alarmstate.Queued, a.o.Now().UnixMilli()).
			Order("created_ms", "id").Limit(500).Scan(ctx)
		if err != nil && ctx.Err() == nil {
			a.o.Logger.Error("cannot read deliveries", "err", err)
		}
		byChannel := map[[2]string][]alarmstate.Delivery{}
		for _, d := range due {
			key := [2]string{d.Workspace, d.Channel}
			byChannel[key] = append(byChannel[key], d)
		}
		for key, list := range byChannel {
			mu.Lock()
			taken := busy[key]
			busy[key] = true
			mu.Unlock()
			if taken {
				continue
			}
			workers.Go(func() {
				for i := range list {
					if ctx.Err() != nil {
						break
					}
					a.deliver(ctx, &list[i])
				}
				mu.Lock()
				delete(busy, key)
				mu.Unlock()
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// deliver makes one attempt and records its outcome.
func (a *Alarm) deliver(ctx context.Context, d *alarmstate.Delivery) {
	answer, err := a.send(ctx, d)
	if ctx.Err() != nil {
		return // not counted: it is made again after the restart
	}
	now := a.o.Now()
	d.Attempts++
	d.Answer = cut(answer, 500)
	d.Error = ""
	if wait := (*later)(nil); errors.As(err, &wait) {
		d.Attempts-- // held back by our own rate limit
		d.NextMs = now.Add(wait.after).UnixMilli()
	} else if err == nil {
		d.State, d.SentMs = alarmstate.Sent, now.UnixMilli()
	} else {
		d.Error = cut(err.Error(), 500)
		if errors.As(err, new(permanent)) || d.Attempts > len(retryAfter) {
			d.State = alarmstate.Failed
		} else {
			d.NextMs = now.Add(retryAfter[d.Attempts-1]).UnixMilli()
		}
		a.o.Logger.Warn("cannot deliver notice", "channel", d.Channel, "workspace", d.Workspace, "attempt", d.Attempts, "given_up", d.State == alarmstate.Failed, "err", err)
	}
	_, err = a.o.DB.NewUpdate().Model(d).Column("state", "attempts", "next_ms", "sent_ms", "answer", "error").WherePK().Exec(ctx)
	if err != nil && ctx.Err() == nil {
		a.o.Logger.Error("cannot record delivery; it may be sent again", "delivery", d.ID, "err", err)
	}
}

// send makes the notice of d and hands it to the channel's provider.
func (a *Alarm) send(ctx context.Context, d *alarmstate.Delivery) (answer string, err error) {
	spec, err := a.channelSpec(ctx, d.Workspace, d.Channel)
	if err != nil {
		return "", err
	}
	var events []alarmstate.Event
	ids := append([]string{d.EventID}, d.More...)
	if err := a.o.DB.NewSelect().Model(&events).Where("id IN (?)", bun.List(ids)).Scan(ctx); err != nil {
		return "", fmt.Errorf("cannot read events of delivery %q: %w", d.ID, err)
	}
	place := map[string]int{} // in the order of their objects, as they were recorded
	for i, id := range ids {
		place[id] = i
	}
	slices.SortFunc(events, func(a, b alarmstate.Event) int { return place[a.ID] - place[b.ID] })
	if len(events) == 0 {
		return "", permanent{fmt.Errorf("the event %q is gone", d.EventID)}
	}
	switch spec.Type {
	case channel.TypeDingTalk:
		return a.sendDingTalk(ctx, d, *spec.DingTalk, events)
	case channel.TypeWebhook:
		return a.sendWebhook(ctx, *spec.Webhook, d.Channel, events[0])
	case channel.TypeMail:
		return a.sendMail(ctx, *spec.Mail, events)
	}
	return "", permanent{fmt.Errorf("channel %q has the unknown type %q", d.Channel, spec.Type)}
}

// cut shortens s to at most n bytes without breaking a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}
