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
	every := t.Spec.Every.D().Milliseconds()
	first := (t.FromMs + every - 1) / every * every
	past := &pastQuery{QueryServiceClient: t.Query, stepMs: every, endMs: t.ToMs, series: map[seriesKey]*pastSeries{}, windows: map[string]*pastWindows{}}
	run := backtest{gatherer: newGatherer(past, monitors, t.Language), rule: &rule{id: "backtest", workspace: t.Workspace, spec: t.Spec},
		objects: map[string]*alarmstate.Object{}, open: map[string]*alarmtrial.Episode{}, seen: map[string]bool{}, out: &alarmtrial.Outcome{Episodes: []alarmtrial.Episode{}, Trace: []alarmtrial.TracedCheck{}}}
	for at := first; at <= t.ToMs; at += every {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		run.check(ctx, at, at > t.ToMs-alarmtrial.TracedChecks*every)
	}
	run.out.Objects = len(run.seen)
	for _, e := range run.open {
		run.out.Episodes = append(run.out.Episodes, *e)
	}
	slices.SortFunc(run.out.Episodes, func(a, b alarmtrial.Episode) int {
		if a.FiredMs != b.FiredMs {
			return int(min(1, max(-1, a.FiredMs-b.FiredMs)))
		}
		return strings.Compare(objectKey(a.Labels), objectKey(b.Labels))
	})
	run.out.All = len(run.out.Episodes)
	run.out.Episodes = run.out.Episodes[:min(len(run.out.Episodes), alarmtrial.MaxEpisodes)]
	return run.out, nil
}

// backtest is a trial while it runs.
type backtest struct {
	gatherer *gatherer
	rule     *rule
	objects  map[string]*alarmstate.Object
	open     map[string]*alarmtrial.Episode // by object
	seen     map[string]bool
	out      *alarmtrial.Outcome
}

func (b *backtest) check(ctx context.Context, at int64, traced bool) {
	b.out.Checks++
	d, err := b.gatherer.gather(ctx, b.rule, at, false)
	trace := alarmtrial.TracedCheck{AtMs: at, Result: "ok", Objects: []alarmtrial.TracedObject{}}
	if err != nil {
		b.out.Failed++
		b.out.Failure = err.Error()
		trace.Result, trace.Detail = "error", err.Error()
	} else {
		trace.Result = b.judge(d, at, traced, &trace)
	}
	if trace.Result == "unknown" {
		b.out.Unknown++
	}
	if traced {
		b.out.Trace = append(b.out.Trace, trace)
	}
}

func (b *backtest) judge(d data, at int64, traced bool, trace *alarmtrial.TracedCheck) (result string) {
	addObjects(b.objects, b.rule.id, d)
	result = "ok"
	for _, key := range slices.Sorted(maps.Keys(b.objects)) {
		o := b.objects[key]
		v := judge(b.rule.spec, d.inputs, key)
		b.seen[key] = true
		b.apply(o, v, at)
		result = worse(result, o, v)
		if traced {
			trace.All++
			trace.Objects = append(trace.Objects, alarmtrial.TracedObject{Labels: o.Labels, Truth: v.Truth.String(), Firing: o.AlertID != "", Conditions: v.Conditions})
		}
		if forgettable(o) {
			delete(b.objects, key)
		}
	}
	rank := map[string]int{True.String(): 0, Unknown.String(): 1, False.String(): 2}
	slices.SortStableFunc(trace.Objects, func(a, b alarmtrial.TracedObject) int { return rank[a.Truth] - rank[b.Truth] })
	trace.Objects = trace.Objects[:min(len(trace.Objects), alarmtrial.TracedObjects)]
	return result
}

// apply moves an object on as check.apply does, with an episode in place of an alert.
func (b *backtest) apply(o *alarmstate.Object, v Verdict, at int64) {
	spec := b.rule.spec
	switch advance(spec, o, v, at) {
	case fires:
		o.AlertID, o.LastNoticeMs = "backtest", at
		alert := alarmstate.Alert{Level: string(spec.Level), Labels: o.Labels, StartedMs: at, Conditions: v.Conditions}
		b.open[o.Object] = &alarmtrial.Episode{Labels: o.Labels, FiredMs: at, TrueChecks: 1, Notices: 1, Message: b.gatherer.words.message(spec, alert, alarmstate.EventFiring, at)}
	case keepsFiring:
		e := b.open[o.Object]
		e.TrueChecks++
		if repeats(spec, o, at) {
			o.LastNoticeMs = at
			e.Notices++
		}
	case recovers, expires:
		e := b.open[o.Object]
		e.EndedMs = at
		e.Notices++
		b.out.Episodes = append(b.out.Episodes, *e)
		delete(b.open, o.Object)
		o.AlertID, o.TrueRun, o.FalseRun = "", 0, 0
	}
}
