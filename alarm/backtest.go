package alarm

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/alarmtrial"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/resource"
)

// Backtest tries a rule, which has passed WithDefaults and Validate, on data of
// the past, by the code that checks rules: reading, judging and counting are the
// same. The data is as it is now: late lines that a check at the time could not
// know of are in it.
func Backtest(ctx context.Context, t alarmtrial.Trial) (*alarmtrial.Outcome, error) {
	monitors := &monitorIndex{}
	index := map[[2]string]*monitor{}
	for _, o := range t.Monitors {
		spec, err := resource.SpecOf[logrule.Spec](o)
		if err != nil {
			return nil, err
		}
		if !spec.Disabled {
			index[[2]string{o.Metadata.Workspace, o.Metadata.Name}] = &monitor{id: o.Metadata.ID, key: o.Metadata.Name, spec: spec.WithDefaults()}
		}
	}
	monitors.set(index)
	past := readAhead(t.Query, t.Spec.Every.D().Milliseconds(), t.ToMs)
	run := backtest{gatherer: newGatherer(past, monitors, t.Language), out: &alarmtrial.Outcome{Episodes: []alarmtrial.Episode{}, Trace: []alarmtrial.TracedCheck{}}}
	of := resource.Object{Metadata: resource.Metadata{ID: "backtest", Workspace: t.Workspace}}
	for _, r := range rulesOf(of, t.Spec, run.gatherer.words) {
		run.rules = append(run.rules, &trial{rule: r, objects: map[string]*alarmstate.Object{}, open: map[string]*alarmtrial.Episode{}})
	}
	traced := t.Spec.CheckAt(t.ToMs) - alarmtrial.TracedChecks*t.Spec.Every.D().Milliseconds()
	for at := t.Spec.NextCheck(t.FromMs - 1); at <= t.ToMs; at = t.Spec.NextCheck(at) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		run.check(ctx, at, at > traced)
	}
	for _, tr := range run.rules {
		run.out.Objects += len(tr.seen)
		for _, e := range tr.open {
			run.out.Episodes = append(run.out.Episodes, *e)
		}
	}
	slices.SortFunc(run.out.Episodes, func(a, b alarmtrial.Episode) int {
		if a.FiredMs != b.FiredMs {
			return int(min(1, max(-1, a.FiredMs-b.FiredMs)))
		}
		return strings.Compare(a.Rule+objectKey(a.Labels), b.Rule+objectKey(b.Labels))
	})
	run.out.All = len(run.out.Episodes)
	run.out.Episodes = run.out.Episodes[:min(len(run.out.Episodes), alarmtrial.MaxEpisodes)]
	return run.out, nil
}

// backtest is a trial while it runs.
type backtest struct {
	gatherer *gatherer
	rules    []*trial
	out      *alarmtrial.Outcome
}

// trial is one rule of it.
type trial struct {
	rule    *rule
	objects map[string]*alarmstate.Object
	open    map[string]*alarmtrial.Episode // by object
	seen    map[string]bool
}

// check makes the checks of all rules at one moment.
func (b *backtest) check(ctx context.Context, at int64, traced bool) {
	b.out.Checks++
	trace := alarmtrial.TracedCheck{AtMs: at, Result: "inactive", Objects: []alarmtrial.TracedObject{}}
	for _, t := range b.rules {
		if !t.rule.active(at) {
			b.closeQuietly(t, at)
			continue
		}
		result := "error"
		d, err := b.gatherer.gather(ctx, t.rule, at, asItIs)
		if err != nil {
			trace.Detail = err.Error()
		} else {
			result = b.judge(t, d, at, traced, &trace)
		}
		if rank := slices.Index(results, result); rank > slices.Index(results, trace.Result) {
			trace.Result = result
		}
	}
	switch trace.Result {
	case "error":
		b.out.Failed++
		b.out.Failure = trace.Detail
	case "unknown":
		b.out.Unknown++
	}
	if traced {
		rank := map[string]int{True.String(): 0, Unknown.String(): 1, False.String(): 2}
		slices.SortStableFunc(trace.Objects, func(a, b alarmtrial.TracedObject) int { return rank[a.Truth] - rank[b.Truth] })
		trace.Objects = trace.Objects[:min(len(trace.Objects), alarmtrial.TracedObjects)]
		b.out.Trace = append(b.out.Trace, trace)
	}
}

// results of checks, those that say more last.
var results = []string{"inactive", "ok", "unknown", "firing", "error"}

func (b *backtest) judge(t *trial, d data, at int64, traced bool, trace *alarmtrial.TracedCheck) (result string) {
	addObjects(t.objects, t.rule.id, d)
	if t.seen == nil {
		t.seen = map[string]bool{}
	}
	result = "ok"
	for _, key := range slices.Sorted(maps.Keys(t.objects)) {
		o := t.objects[key]
		v := judge(t.rule.spec, d.inputs, key)
		t.seen[key] = true
		b.apply(t, o, v, at)
		result = worse(result, o, v)
		if traced {
			trace.All++
			trace.Objects = append(trace.Objects, alarmtrial.TracedObject{Rule: t.rule.part, Labels: o.Labels, Truth: v.Truth.String(), Firing: o.AlertID != "", Conditions: v.Conditions})
		}
		if forgettable(o) {
			delete(t.objects, key)
		}
	}
	return result
}

// closeQuietly is check.closeQuietly with episodes in place of alerts.
func (b *backtest) closeQuietly(t *trial, at int64) {
	for _, e := range t.open {
		e.EndedMs = at
		b.out.Episodes = append(b.out.Episodes, *e)
	}
	clear(t.open)
	clear(t.objects)
}

// apply moves an object on as check.apply does, with an episode in place of an alert.
func (b *backtest) apply(t *trial, o *alarmstate.Object, v Verdict, at int64) {
	spec := t.rule.spec
	moved, joined := advance(spec, o, v, at)
	switch moved {
	case fires:
		o.AlertID, o.LastNoticeMs = "backtest", at
		alert := alarmstate.Alert{Title: t.rule.title(), Level: string(spec.Level), Labels: o.Labels, StartedMs: at, Conditions: v.Conditions}
		t.open[o.Object] = &alarmtrial.Episode{Rule: t.rule.part, Labels: o.Labels, FiredMs: at, TrueChecks: 1, Notices: 1, Classes: distinct(slices.Clone(o.Classes)),
			Message: b.gatherer.words.message(alert, alarmstate.EventFiring, at)}
	case keepsFiring:
		e := t.open[o.Object]
		e.TrueChecks++
		e.Classes = distinct(slices.Clone(o.Classes))
		if len(joined) > 0 || repeats(spec, o, at) {
			o.LastNoticeMs = at
			e.Notices++
		}
	case recovers, expires:
		e := t.open[o.Object]
		e.EndedMs = at
		e.Notices++
		b.out.Episodes = append(b.out.Episodes, *e)
		delete(t.open, o.Object)
		forget(o)
	}
}
