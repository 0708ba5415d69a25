package alarm

import (
	"cmp"
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

// busy is the failure of a receiver that will do no better with the next
// notice: it can't be reached, or asks to be left alone for a while.
type busy struct {
	err   error
	after time.Duration // what it asked for; 0 when it did not
}

func (b *busy) Error() string { return b.err.Error() }
func (b *busy) Unwrap() error { return b.err }

// pending is a delivery that is due, with its events in their order.
type pending struct {
	alarmstate.Delivery
	events []alarmstate.Event
}

// level of the worst event; those of one delivery are of one rule.
func (p pending) level() string {
	if len(p.events) == 0 {
		return ""
	}
	return p.events[0].Level
}

// order is within what notices keep their order: one alert and person.
func (p pending) order(e alarmstate.Event) string { return e.AlertID + " " + p.Contact }

// deliverLoop hands due deliveries to one worker a channel, so that a slow
// receiver delays no other.
func (a *Alarm) deliverLoop(ctx context.Context) {
	var workers sync.WaitGroup
	defer workers.Wait()
	var mu sync.Mutex
	working := map[[2]string]bool{}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		// Channels, not deliveries: thousands that wait for one receiver must not hide those of another.
		var due []struct{ Workspace, Channel string }
		err := a.o.DB.NewSelect().Model((*alarmstate.Delivery)(nil)).Distinct().Column("workspace", "channel").
			Where("state = ? AND next_ms <= ?", alarmstate.Queued, a.o.Now().UnixMilli()).Scan(ctx, &due)
		if err != nil && ctx.Err() == nil {
			a.o.Logger.Error("cannot read deliveries", "err", err)
		}
		for _, d := range due {
			key := [2]string{d.Workspace, d.Channel}
			of, done, mine := a.use(shardOf(d.Workspace, d.Channel))
			if !mine {
				continue
			}
			mu.Lock()
			taken := working[key]
			working[key] = true
			mu.Unlock()
			if taken {
				done()
				continue
			}
			workers.Go(func() {
				defer done()
				if err := a.deliverChannel(ctx, of, d.Workspace, d.Channel); err != nil && ctx.Err() == nil {
					a.o.Logger.Error("cannot deliver", "channel", d.Channel, "workspace", d.Workspace, "err", err)
				}
				mu.Lock()
				delete(working, key)
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

const (
	// batchSize bounds what a worker reads at once.
	batchSize = 500
	// sendAtOnce bounds the requests to one channel at a time.
	sendAtOnce = 8
)

// deliverChannel delivers what is due for one channel, the most urgent first
// and what concerns one alert in its order: a recovery must not overtake a
// firing that waits to be tried again. It stops when its lease is lost.
func (a *Alarm) deliverChannel(ctx context.Context, of *lease, workspace, name string) error {
	now := a.o.Now().UnixMilli()
	due, err := a.pending(ctx, workspace, name, "next_ms <= ?", now)
	if err != nil {
		return err
	}
	failed, err := a.pending(ctx, workspace, name, "next_ms > ? AND attempts > 0", now)
	if err != nil {
		return err
	}
	waiting := map[string]int64{} // alert → when a delivery of it is tried again
	wait := func(list []pending) {
		for _, p := range list {
			for _, e := range p.events {
				if p.State == alarmstate.Queued && e.AlertID != "" {
					waiting[p.order(e)] = max(waiting[p.order(e)], p.NextMs)
				}
			}
		}
	}
	wait(failed)
	slices.SortStableFunc(due, func(a, b pending) int { return cmp.Compare(a.level(), b.level()) })
	spec, specErr := a.channelSpec(ctx, workspace, name)
	atOnce := 1 // until the receiver has shown that it does well
	for ctx.Err() == nil && a.stillMine(of) {
		if due, err = a.queueBehind(ctx, due, waiting); err != nil || len(due) == 0 {
			return err
		}
		n, hold := 1, time.Duration(0)
		switch {
		case specErr != nil:
			a.settle(ctx, outcome{list: due[:1], failure: specErr})
		case len(due[0].events) == 0:
			a.settle(ctx, outcome{list: due[:1], failure: permanent{fmt.Errorf("the event %q is gone", due[0].EventID)}})
		case spec.Type.OneEvent():
			n = together(due, atOnce)
			if hold = a.deliverEach(ctx, spec, due[:n]); hold == 0 {
				atOnce = sendAtOnce
			}
		default:
			n, hold, err = a.take(ctx, spec.Type, due)
			if err != nil {
				return err
			}
			if n > 0 {
				hold = a.deliver(ctx, spec, due[:n])
			}
		}
		wait(due[:n])
		due = due[n:]
		if hold > 0 {
			return a.postpone(ctx, a.o.Now().Add(hold).UnixMilli(), due...)
		}
	}
	return nil
}

// pending reads queued deliveries of a channel with their events, oldest first.
func (a *Alarm) pending(ctx context.Context, workspace, name, which string, args ...any) ([]pending, error) {
	var rows []alarmstate.Delivery
	err := a.o.DB.NewSelect().Model(&rows).Where("workspace = ? AND channel = ? AND state = ?", workspace, name, alarmstate.Queued).
		Where(which, args...).Order("created_ms", "id").Limit(batchSize).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot read deliveries: %w", err)
	}
	return a.withEvents(ctx, rows)
}

// queueBehind postpones those of due that concern an alert which waits, and
// returns the others.
func (a *Alarm) queueBehind(ctx context.Context, due []pending, waiting map[string]int64) ([]pending, error) {
	var rest []pending
	for _, p := range due {
		until := int64(0)
		for _, e := range p.events {
			until = max(until, waiting[p.order(e)])
		}
		if until == 0 {
			rest = append(rest, p)
		} else if err := a.postpone(ctx, until, p); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// withEvents reads the events of deliveries.
func (a *Alarm) withEvents(ctx context.Context, rows []alarmstate.Delivery) ([]pending, error) {
	var ids []string
	for _, d := range rows {
		ids = append(append(ids, d.EventID), d.More...)
	}
	events := make(map[string]alarmstate.Event, len(ids))
	for part := range slices.Chunk(ids, 500) { // databases bound what a query may ask for
		var found []alarmstate.Event
		if err := a.o.DB.NewSelect().Model(&found).Where("id IN (?)", bun.List(part)).Scan(ctx); err != nil {
			return nil, fmt.Errorf("cannot read events of deliveries: %w", err)
		}
		for _, e := range found {
			events[e.ID] = e
		}
	}
	out := make([]pending, len(rows))
	for i, d := range rows {
		out[i].Delivery = d
		for _, id := range append([]string{d.EventID}, d.More...) {
			if e, ok := events[id]; ok {
				if d.HeldBack > 0 && id == d.EventID {
					e.HeldBack = d.HeldBack
					e.Message += ", " + fmt.Sprintf(a.words.heldBack, d.HeldBack)
				}
				out[i].events = append(out[i].events, e)
			}
		}
	}
	return out, nil
}

// postpone lets deliveries wait until a time without counting an attempt.
func (a *Alarm) postpone(ctx context.Context, untilMs int64, list ...pending) error {
	if len(list) == 0 {
		return nil
	}
	ids := make([]string, len(list))
	for i, p := range list {
		ids[i] = p.ID
	}
	_, err := a.o.DB.NewUpdate().Model((*alarmstate.Delivery)(nil)).Set("next_ms = ?", untilMs).Where("id IN (?)", bun.List(ids)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("cannot postpone deliveries: %w", err)
	}
	return nil
}

// together returns how many of due may be told at a time: those that are first
// of their alerts and people, at most limit.
func together(due []pending, limit int) int {
	told := map[string]bool{}
	for n, p := range due {
		if n == limit || len(p.events) == 0 || slices.ContainsFunc(p.events, func(e alarmstate.Event) bool { return told[p.order(e)] }) {
			return n
		}
		for _, e := range p.events {
			told[p.order(e)] = true
		}
	}
	return len(due)
}

// outcome is what became of one request, which told the deliveries of list.
type outcome struct {
	list    []pending
	answer  string
	failure error
}

// deliver tells deliveries in one request and records its outcome. It returns
// how long the channel is to be left alone.
func (a *Alarm) deliver(ctx context.Context, spec channel.Spec, list []pending) time.Duration {
	answer, err := a.send(ctx, spec, list)
	return a.settle(ctx, outcome{list, answer, err})
}

// deliverEach is deliver with a request for each, all at a time.
func (a *Alarm) deliverEach(ctx context.Context, spec channel.Spec, list []pending) time.Duration {
	outcomes := make([]outcome, len(list))
	var requests sync.WaitGroup
	for i := range list {
		requests.Go(func() {
			one := list[i : i+1]
			answer, err := a.send(ctx, spec, one)
			outcomes[i] = outcome{one, answer, err}
		})
	}
	requests.Wait()
	return a.settle(ctx, outcomes...)
}

// settle records outcomes in one transaction and returns how long their channel
// is to be left alone.
func (a *Alarm) settle(ctx context.Context, outcomes ...outcome) (hold time.Duration) {
	if ctx.Err() != nil {
		return 0 // not counted: it is made again after the restart
	}
	now := a.o.Now()
	for _, o := range outcomes {
		var asked *busy
		if errors.As(o.failure, &asked) {
			hold = max(hold, asked.after, retryAfter[0])
		}
	}
	err := a.o.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		for _, o := range outcomes {
			for i := range o.list {
				if err := a.settleOne(ctx, tx, &o.list[i].Delivery, o, now, hold); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		for _, o := range outcomes {
			for _, p := range o.list {
				a.o.Logger.Error("cannot record delivery; it may be sent again", "delivery", p.ID, "err", err)
			}
		}
	}
	return hold
}

func (a *Alarm) settleOne(ctx context.Context, tx bun.Tx, d *alarmstate.Delivery, o outcome, now time.Time, hold time.Duration) error {
	d.Attempts++
	d.Answer, d.Error = cut(o.answer, 500), ""
	switch {
	case o.failure == nil:
		d.State, d.SentMs = alarmstate.Sent, now.UnixMilli()
	case errors.As(o.failure, new(permanent)) || d.Attempts > len(retryAfter):
		d.State = alarmstate.Failed
	default:
		d.NextMs = now.Add(max(hold, retryAfter[d.Attempts-1])).UnixMilli()
	}
	if o.failure != nil {
		d.Error = cut(o.failure.Error(), 500)
		a.o.Logger.Warn("cannot deliver notice", "channel", d.Channel, "workspace", d.Workspace, "attempt", d.Attempts, "given_up", d.State == alarmstate.Failed, "err", o.failure)
	}
	q := tx.NewUpdate().Model(d).Column("state", "attempts", "next_ms", "sent_ms", "answer", "error").WherePK().Where("state = ?", alarmstate.Queued)
	if o.failure != nil {
		q = q.Where("attempts < ?", d.Attempts) // another replica may have tried since
	}
	_, err := q.Exec(ctx)
	return err
}

// send makes one message of deliveries, several for channels with a pace only,
// and hands it to the channel's provider.
func (a *Alarm) send(ctx context.Context, spec channel.Spec, list []pending) (answer string, err error) {
	groups := make([][]alarmstate.Event, len(list))
	for i, p := range list {
		groups[i] = p.events
	}
	d, events, name := list[0].Delivery, groups[0], list[0].Channel
	if len(d.Targets) > 0 {
		spec = spec.To(d.Targets)
	}
	switch spec.Type {
	case channel.TypeDingTalk:
		return a.sendDingTalk(ctx, *spec.DingTalk, a.newNotice(groups...))
	case channel.TypeWeCom:
		return a.sendWeCom(ctx, *spec.WeCom, a.newNotice(groups...))
	case channel.TypeFeishu:
		return a.sendFeishu(ctx, *spec.Feishu, a.newNotice(groups...))
	case channel.TypeSlack:
		return a.sendSlack(ctx, *spec.Slack, a.newNotice(groups...))
	case channel.TypePagerDuty:
		return a.sendPagerDuty(ctx, *spec.PagerDuty, events[0])
	case channel.TypeGateway, channel.TypeAliyun, channel.TypeTencent, channel.TypeTwilio:
		return a.sendToPhones(ctx, spec, d, events)
	case channel.TypeAlertmanager:
		return a.sendAlertmanager(ctx, *spec.Alertmanager, events[0])
	case channel.TypeWebhook:
		return a.sendWebhook(ctx, *spec.Webhook, name, events[0])
	case channel.TypeMail:
		return a.sendMail(ctx, *spec.Mail, events)
	}
	return "", permanent{fmt.Errorf("channel %q has the unknown type %q", name, spec.Type)}
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
