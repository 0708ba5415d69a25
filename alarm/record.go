package alarm

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/channel"
)

// record applies checks: it judges every object and stores new states, events
// and queued notices in one transaction, for checks of other rules as well. A
// check that is recorded already changes nothing, nor does one of a shard that
// another replica has by now; those shards are returned. Where the data could
// not be read every object is unknown; where it was not to be read alerts are
// closed without a word.
func (a *Alarm) record(ctx context.Context, list []gathered) (lost map[int]bool, err error) {
	ids := make([]string, len(list))
	of := map[int]*lease{}
	for i, c := range list {
		ids[i] = c.rule.id
		if c.lease != nil {
			of[c.lease.shard] = c.lease
		}
	}
	err = a.o.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if lost, err = fence(ctx, tx, of); err != nil {
			return err
		}
		var positions []alarmstate.Position
		if err := tx.NewSelect().Model(&positions).Where("rule_id IN (?)", bun.List(ids)).Scan(ctx); err != nil {
			return err
		}
		before := make(map[string]alarmstate.Position, len(positions))
		for _, p := range positions {
			before[p.RuleID] = p
		}
		stored, err := objectsOf(ctx, tx, ids)
		if err != nil {
			return err
		}
		var after []alarmstate.Position
		for _, g := range list {
			if before[g.rule.id].CheckedMs >= g.ms || g.lease != nil && lost[g.lease.shard] {
				continue
			}
			p := alarmstate.Position{RuleID: g.rule.id, CheckedMs: g.ms, Result: "ok"}
			c := check{alarm: a, rule: g.rule, tx: tx, ms: g.ms, rows: stored[g.rule.id]}
			switch {
			case errors.Is(g.failure, errInactive):
				p.Result = "inactive"
				err = c.closeQuietly(ctx)
			case g.failure != nil:
				p.Result, p.Detail = "error", g.failure.Error()
			default:
				p.Result, err = c.run(ctx, g.data)
			}
			if err != nil {
				return err
			}
			if g.skipped > 0 {
				p.Detail = strings.TrimSpace(fmt.Sprintf("%d checks before %s were skipped, they were too long ago. %s", g.skipped, time.UnixMilli(g.ms).UTC().Format(time.RFC3339), p.Detail))
			}
			after = append(after, p)
		}
		if len(after) == 0 {
			return nil
		}
		_, err = tx.NewInsert().Model(&after).On("CONFLICT (rule_id) DO UPDATE").
			Set("checked_ms = EXCLUDED.checked_ms, result = EXCLUDED.result, detail = EXCLUDED.detail").Exec(ctx)
		return err
	})
	return lost, err
}

// recordEarly counts the check of r that ends at checkMs for the objects that
// hold already, whatever else its windows will get. record counts the others.
func (a *Alarm) recordEarly(ctx context.Context, r *rule, of *lease, checkMs int64, d data) error {
	proven := false
	for key := range d.labels {
		proven = proven || allTrue(judge(r.spec, d.inputs, key))
	}
	if !proven {
		return nil
	}
	mine := map[int]*lease(nil)
	if of != nil {
		mine = map[int]*lease{of.shard: of}
	}
	return a.fenced(ctx, r.id, mine, func(ctx context.Context, tx bun.Tx) error {
		position := alarmstate.Position{RuleID: r.id}
		err := tx.NewSelect().Model(&position).WherePK().Scan(ctx)
		if err != nil && !errors.Is(err, sql.ErrNoRows) || position.CheckedMs >= checkMs {
			return err
		}
		stored, err := objectsOf(ctx, tx, []string{r.id})
		if err != nil {
			return err
		}
		c := check{alarm: a, rule: r, tx: tx, ms: checkMs, rows: stored[r.id]}
		objects := c.objects(d)
		for _, key := range slices.Sorted(maps.Keys(objects)) {
			o := objects[key]
			v := judge(r.spec, d.inputs, key)
			if o.CountedMs >= checkMs || !allTrue(v) {
				continue
			}
			o.CountedMs = checkMs
			if err := c.apply(ctx, o, v); err != nil {
				return err
			}
		}
		return c.queue(ctx)
	})
}

// allTrue reports whether nothing is left to be found out about an object.
func allTrue(v Verdict) bool {
	for _, truth := range v.Classes {
		if truth != True {
			return false
		}
	}
	return true
}

// enabledChannels returns the rule's channels that exist and are on.
func (a *Alarm) enabledChannels(ctx context.Context, r *rule) map[string]channel.Spec {
	out := map[string]channel.Spec{}
	for _, name := range r.spec.Channels {
		spec, err := a.channelSpec(ctx, r.workspace, name)
		if err != nil {
			a.o.Logger.Warn("cannot notify", "rule", r.name, "err", err)
			continue
		}
		if !spec.Disabled {
			out[name] = spec
		}
	}
	return out
}

// check is one check of a rule while it is being recorded.
type check struct {
	alarm    *Alarm
	rule     *rule
	tx       bun.Tx
	ms       int64
	notices  []alarmstate.Event           // for the rule's own channels
	silenced []alarmstate.Event           // told to nobody
	happened []happening                  // for subscriptions and global channels
	rows     []*alarmstate.Object         // of the rule's objects
	stored   map[string]alarmstate.Object // as they were before the check
}

// objects are those that are remembered and those that d knows.
func (c *check) objects(d data) map[string]*alarmstate.Object {
	objects := make(map[string]*alarmstate.Object, len(c.rows))
	c.stored = make(map[string]alarmstate.Object, len(c.rows))
	for _, o := range c.rows {
		before := *o
		before.Runs, before.Classes = maps.Clone(o.Runs), slices.Clone(o.Classes)
		objects[o.Object], c.stored[o.Object] = o, before
	}
	addObjects(objects, c.rule.id, d)
	return objects
}

// objectsOf reads what is remembered of the objects of rules.
func objectsOf(ctx context.Context, tx bun.Tx, ruleIDs []string) (map[string][]*alarmstate.Object, error) {
	var rows []*alarmstate.Object
	if err := tx.NewSelect().Model(&rows).Where("rule_id IN (?)", bun.List(ruleIDs)).Scan(ctx); err != nil {
		return nil, err
	}
	out := map[string][]*alarmstate.Object{}
	for _, o := range rows {
		out[o.RuleID] = append(out[o.RuleID], o)
	}
	return out, nil
}

func (c *check) run(ctx context.Context, d data) (result string, err error) {
	objects := c.objects(d)
	result = "ok"
	for _, key := range slices.Sorted(maps.Keys(objects)) {
		o := objects[key]
		v := judge(c.rule.spec, d.inputs, key)
		if o.CountedMs < c.ms { // otherwise it is in already
			if err := c.apply(ctx, o, v); err != nil {
				return "", err
			}
		}
		result = worse(result, o, v)
	}
	return result, c.queue(ctx)
}

// closeQuietly ends alerts when the effective time of their rule is over.
func (c *check) closeQuietly(ctx context.Context) error {
	for _, o := range c.objects(data{}) {
		if o.AlertID != "" {
			if err := c.end(ctx, o, Verdict{}, alarmstate.Closed, alarmstate.EventClosed); err != nil {
				return err
			}
		}
		if _, err := c.tx.NewDelete().Model(o).WherePK().Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// apply moves one object on by its verdict.
func (c *check) apply(ctx context.Context, o *alarmstate.Object, v Verdict) error {
	moved, joined := advance(c.rule.spec, o, v, c.ms)
	held := c.silence(o.Labels)
	switch moved {
	case fires:
		alert := alarmstate.Alert{ID: alarmstate.NewID("alt_"), Workspace: c.rule.workspace, RuleID: c.rule.id, Rule: c.rule.name,
			Title: c.rule.title(), Level: string(c.rule.spec.Level), State: alarmstate.Firing, Labels: o.Labels, StartedMs: c.ms,
			Checks: 1, Conditions: v.Conditions, Kind: c.rule.kind, Classes: distinct(o.Classes)}
		alert.Message = c.alarm.words.message(alert, alarmstate.EventFiring, c.ms)
		if _, err := c.tx.NewInsert().Model(&alert).Exec(ctx); err != nil {
			return err
		}
		o.AlertID = alert.ID
		c.noted(o, held)
		if err := c.event(ctx, alert, alarmstate.EventFiring, v, distinct(o.Classes), distinct(joined), held, true); err != nil {
			return err
		}
	case keepsFiring:
		alert, err := c.alert(ctx, o.AlertID)
		if err != nil {
			return err
		}
		alert.Checks++
		alert.Conditions, alert.Classes, alert.StaleMs = v.Conditions, distinct(o.Classes), 0
		alert.Message = c.alarm.words.message(alert, alarmstate.EventRepeat, c.ms)
		if _, err := c.tx.NewUpdate().Model(&alert).Column("checks", "conditions", "message", "classes", "stale_ms").WherePK().Exec(ctx); err != nil {
			return err
		}
		// What a silence kept back is told at once when it is over (spec 05, ALM-27).
		notify := len(joined) > 0 || (o.HeldBy != "" || repeats(c.rule.spec, o, c.ms)) && alert.AcknowledgedMs == 0
		if notify || held != "" {
			c.noted(o, held)
		}
		if err := c.event(ctx, alert, alarmstate.EventRepeat, v, distinct(trueNow(o, v)), distinct(joined), held, notify); err != nil {
			return err
		}
	case recovers:
		if err := c.end(ctx, o, v, alarmstate.Recovered, alarmstate.EventRecovered); err != nil {
			return err
		}
	case expires:
		if err := c.end(ctx, o, v, alarmstate.Closed, alarmstate.EventClosed); err != nil {
			return err
		}
	case stays:
		if o.AlertID != "" {
			if err := c.stale(ctx, o, v.Truth == Unknown); err != nil {
				return err
			}
		}
	}
	before, stored := c.stored[o.Object]
	if forgettable(o) && !stored || !forgettable(o) && stored && reflect.DeepEqual(before, *o) {
		return nil
	}
	if forgettable(o) {
		_, err := c.tx.NewDelete().Model(o).WherePK().Exec(ctx)
		return err
	}
	_, err := c.tx.NewInsert().Model(o).On("CONFLICT (rule_id, object) DO UPDATE").
		Set("runs = EXCLUDED.runs, classes = EXCLUDED.classes, counted_ms = EXCLUDED.counted_ms, false_run = EXCLUDED.false_run, alert_id = EXCLUDED.alert_id").
		Set("last_seen_ms = EXCLUDED.last_seen_ms, last_notice_ms = EXCLUDED.last_notice_ms, held_by = EXCLUDED.held_by").Exec(ctx)
	return err
}

func (c *check) alert(ctx context.Context, id string) (alarmstate.Alert, error) {
	alert := alarmstate.Alert{ID: id}
	err := c.tx.NewSelect().Model(&alert).WherePK().Scan(ctx)
	return alert, err
}

// stale notes since when the data does not tell whether an alert still holds.
func (c *check) stale(ctx context.Context, o *alarmstate.Object, unknown bool) error {
	q := c.tx.NewUpdate().Model((*alarmstate.Alert)(nil)).Where("id = ?", o.AlertID)
	if unknown {
		q = q.Set("stale_ms = ?", c.ms).Where("stale_ms = 0")
	} else {
		q = q.Set("stale_ms = 0").Where("stale_ms <> 0")
	}
	_, err := q.Exec(ctx)
	return err
}

// end finishes an object's alert.
func (c *check) end(ctx context.Context, o *alarmstate.Object, v Verdict, state, eventType string) error {
	alert, err := c.alert(ctx, o.AlertID)
	if err != nil {
		return err
	}
	alert.State, alert.EndedMs, alert.StaleMs = state, c.ms, 0
	alert.Conditions = v.Conditions
	alert.Message = c.alarm.words.message(alert, eventType, c.ms)
	if _, err := c.tx.NewUpdate().Model(&alert).Column("state", "ended_ms", "stale_ms", "message").WherePK().Exec(ctx); err != nil {
		return err
	}
	// What was told is taken back in a silence as well; what was not has nothing to take back.
	held := ""
	if o.LastNoticeMs < alert.StartedMs {
		held = o.HeldBy
	}
	forget(o)
	return c.event(ctx, alert, eventType, v, alert.Classes, nil, held, len(v.Conditions) > 0)
}

// silence names the one in force for an object; empty: none.
func (c *check) silence(labels map[string]string) string {
	c.alarm.mu.Lock()
	dir := c.alarm.directories[c.rule.workspace]
	c.alarm.mu.Unlock()
	if dir == nil {
		return ""
	}
	return dir.silencedBy(c.rule, labels, c.alarm.o.Now())
}

// noted remembers that a check was told, or which silence kept it back.
func (c *check) noted(o *alarmstate.Object, held string) {
	o.HeldBy = held
	if held == "" {
		o.LastNoticeMs = c.ms
	}
}

// event stores what happened to an alert. classes are those that are told of
// it, joined the ones among them that had not been reached before, and held the
// silence because of which nobody is.
func (c *check) event(ctx context.Context, alert alarmstate.Alert, eventType string, v Verdict, classes, joined []string, held string, notify bool) error {
	completeness := 1.0
	for _, cond := range v.Conditions {
		completeness = min(completeness, cond.Completeness)
	}
	sequence := alert.Checks
	if eventType == alarmstate.EventRecovered || eventType == alarmstate.EventClosed {
		sequence++
	}
	e := alarmstate.Event{ID: alarmstate.NewID("evt_"), AlertID: alert.ID, Workspace: alert.Workspace, RuleID: alert.RuleID, Rule: alert.Rule,
		Title: alert.Title, Type: eventType, Level: alert.Level, Labels: alert.Labels, TimeMs: c.ms, StartedMs: alert.StartedMs,
		CreatedMs: c.alarm.o.Now().UnixMilli(), Sequence: sequence, Conditions: v.Conditions, Completeness: completeness, Message: alert.Message,
		Kind: alert.Kind, Classes: classes, Joined: joined,
		EmergencyText: c.rule.spec.EmergencyText, EmergencyLink: c.rule.spec.EmergencyLink, Join: string(c.rule.spec.Join), Silence: held}
	if _, err := c.tx.NewInsert().Model(&e).Exec(ctx); err != nil {
		return err
	}
	if held != "" {
		c.silenced = append(c.silenced, e)
		return nil
	}
	if notify {
		c.notices = append(c.notices, e)
	}
	if notify || !calm(eventType) {
		c.happened = append(c.happened, happening{e, alert.AcknowledgedMs > 0})
	}
	return nil
}

// closeGone closes the alerts of rules that are disabled or deleted, of the
// shards that are this process' own.
func (a *Alarm) closeGone(ctx context.Context, rules map[string]*rule, mine map[int]*lease) error {
	var rows []alarmstate.Object
	if err := a.o.DB.NewSelect().Model(&rows).Scan(ctx); err != nil {
		return fmt.Errorf("cannot read alarm objects: %w", err)
	}
	now := a.o.Now().UnixMilli()
	for i := range rows {
		o := &rows[i]
		if rules[o.RuleID] != nil {
			continue
		}
		err := a.fenced(ctx, o.RuleID, mine, func(ctx context.Context, tx bun.Tx) error {
			if o.AlertID != "" {
				c := check{alarm: a, tx: tx, ms: now}
				alert, err := c.alert(ctx, o.AlertID)
				if err != nil {
					return err
				}
				c.rule = &rule{id: alert.RuleID, name: alert.Rule, workspace: alert.Workspace}
				if err := c.end(ctx, o, Verdict{Conditions: alert.Conditions}, alarmstate.Closed, alarmstate.EventClosed); err != nil {
					return err
				}
			}
			_, err := tx.NewDelete().Model(o).WherePK().Exec(ctx)
			return err
		})
		if err != nil {
			return fmt.Errorf("cannot close alert %q: %w", o.AlertID, err)
		}
	}
	// A rule that is switched on again begins anew instead of catching up.
	positions, err := alarmstate.Positions(ctx, a.o.DB)
	if err != nil {
		return err
	}
	for id, p := range positions {
		if rules[id] == nil {
			err := a.fenced(ctx, id, mine, func(ctx context.Context, tx bun.Tx) error {
				_, err := tx.NewDelete().Model(&p).WherePK().Exec(ctx)
				return err
			})
			if err != nil {
				return fmt.Errorf("cannot forget alarm rule %q: %w", id, err)
			}
		}
	}
	return nil
}

// eventRetention is how long events and deliveries are kept (spec 05 §3.6).
const eventRetention = 180 * 24 * time.Hour

// expireLoop deletes events, deliveries and ended alerts after their retention.
func (a *Alarm) expireLoop(ctx context.Context) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		before := a.o.Now().Add(-eventRetention).UnixMilli()
		for _, q := range []*bun.DeleteQuery{
			a.o.DB.NewDelete().Model((*alarmstate.Delivery)(nil)).Where("created_ms < ?", before),
			a.o.DB.NewDelete().Model((*request)(nil)).Where("at_ms < ?", a.o.Now().Add(-24*time.Hour).UnixMilli()),
			a.o.DB.NewDelete().Model((*told)(nil)).Where("at_ms < ?", a.o.Now().Add(-24*time.Hour).UnixMilli()),
			a.o.DB.NewDelete().Model((*throttle)(nil)).Where("due_ms < ?", a.o.Now().Add(-7*24*time.Hour).UnixMilli()),
			a.o.DB.NewDelete().Model((*alarmstate.Event)(nil)).Where("time_ms < ?", before),
			a.o.DB.NewDelete().Model((*alarmstate.Alert)(nil)).Where("state <> ? AND ended_ms < ?", alarmstate.Firing, before),
		} {
			if _, err := q.Exec(ctx); err != nil && ctx.Err() == nil {
				a.o.Logger.Warn("cannot delete old alarm records", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
