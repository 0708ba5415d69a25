package alarm

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/resource"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Limits of a backtest.
const (
	// MaxBacktest is the longest time that a rule is tried on.
	MaxBacktest = 8 * 24 * time.Hour
	// MaxEpisodes is how many of a backtest's alerts are told.
	MaxEpisodes = 500
	// TracedChecks and TracedObjects bound what is told check by check.
	TracedChecks  = 60
	TracedObjects = 20
)

// Trial is a rule and the time it is tried on.
type Trial struct {
	Query     pharosv1.QueryServiceClient
	Workspace string
	// Monitors are the LogMonitor resources of the workspace.
	Monitors []resource.Object
	Spec     alarmrule.Spec
	// FromMs and ToMs bound the ends of the checks, both included.
	FromMs, ToMs int64
	// Language of messages, en or zh.
	Language string
}

// Outcome is what a rule would have done.
type Outcome struct {
	// Checks were made, of which Unknown could not be judged as a whole and
	// Failed could not read their data; Failure is the last reason.
	Checks  int    `json:"checks" doc:"Checks that were made"`
	Unknown int    `json:"unknown" doc:"Of these could not be judged, for data was missing or incomplete"`
	Failed  int    `json:"failed" doc:"Of these could not read their data"`
	Failure string `json:"failure,omitempty" doc:"Why the last of these failed"`
	// Objects that were judged at least once.
	Objects int `json:"objects" doc:"Objects that were judged, such as keys"`
	// Episodes are the alerts by time, at most MaxEpisodes of all.
	Episodes []Episode `json:"episodes" doc:"Alerts that would have been, by time, at most 500"`
	All      int       `json:"all" doc:"How many there would have been"`
	// Trace has the last TracedChecks checks.
	Trace []TracedCheck `json:"trace" doc:"The last 60 checks, with what each found"`
}

// Episode is an alert that would have been.
type Episode struct {
	Labels map[string]string `json:"labels"`
	// FiredMs is the check that fired; EndedMs that which recovered, 0 while it fires.
	FiredMs int64 `json:"fired_ms"`
	EndedMs int64 `json:"ended_ms,omitempty" doc:"Absent: it would fire still"`
	// TrueChecks counts checks that held, Notices the messages that would have been sent.
	TrueChecks int `json:"true_checks" doc:"Checks that held"`
	Notices    int `json:"notices" doc:"Messages that each channel would have got"`
	// Message is that of the moment when it fired.
	Message string `json:"message"`
}

// TracedCheck is a check with what it judged.
type TracedCheck struct {
	AtMs int64 `json:"at_ms"`
	// Result is ok, firing, unknown or error.
	Result string `json:"result" enum:"ok,firing,unknown,error"`
	Detail string `json:"detail,omitempty" doc:"Why it failed"`
	// Objects are the first TracedObjects, those that hold before others.
	Objects []TracedObject `json:"objects" doc:"At most 20, those that hold first"`
	All     int            `json:"all" doc:"How many there were"`
}

// TracedObject is what a check found of an object.
type TracedObject struct {
	Labels     map[string]string      `json:"labels"`
	Truth      string                 `json:"truth" enum:"true,false,unknown"`
	Firing     bool                   `json:"firing"`
	Conditions []alarmstate.Condition `json:"conditions"`
}

// Backtest tries a rule, which has passed WithDefaults and Validate, on data of
// the past, by the code that checks rules: reading, judging and counting are the
// same. The data is as it is now: late lines that a check at the time could not
// know of are in it.
func Backtest(ctx context.Context, t Trial) (*Outcome, error) {
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
	run := backtest{trial: t, gatherer: newGatherer(past, monitors, t.Language), rule: &rule{id: "backtest", workspace: t.Workspace, spec: t.Spec},
		objects: map[string]*alarmstate.Object{}, open: map[string]*Episode{}, seen: map[string]bool{}, out: &Outcome{Episodes: []Episode{}, Trace: []TracedCheck{}}}
	for at := first; at <= t.ToMs; at += every {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		run.check(ctx, at, at > t.ToMs-TracedChecks*every)
	}
	run.out.Objects = len(run.seen)
	for _, e := range run.open {
		run.out.Episodes = append(run.out.Episodes, *e)
	}
	slices.SortFunc(run.out.Episodes, func(a, b Episode) int {
		if a.FiredMs != b.FiredMs {
			return int(min(1, max(-1, a.FiredMs-b.FiredMs)))
		}
		return strings.Compare(objectKey(a.Labels), objectKey(b.Labels))
	})
	run.out.All = len(run.out.Episodes)
	run.out.Episodes = run.out.Episodes[:min(len(run.out.Episodes), MaxEpisodes)]
	return run.out, nil
}

// backtest is a trial while it runs.
type backtest struct {
	trial    Trial
	gatherer *gatherer
	rule     *rule
	objects  map[string]*alarmstate.Object
	open     map[string]*Episode // by object
	seen     map[string]bool
	out      *Outcome
}

func (b *backtest) check(ctx context.Context, at int64, traced bool) {
	b.out.Checks++
	d, err := b.gatherer.gather(ctx, b.rule, at, false)
	trace := TracedCheck{AtMs: at, Result: "ok", Objects: []TracedObject{}}
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

func (b *backtest) judge(d data, at int64, traced bool, trace *TracedCheck) (result string) {
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
			trace.Objects = append(trace.Objects, TracedObject{Labels: o.Labels, Truth: v.Truth.String(), Firing: o.AlertID != "", Conditions: v.Conditions})
		}
		if forgettable(o) {
			delete(b.objects, key)
		}
	}
	rank := map[string]int{True.String(): 0, Unknown.String(): 1, False.String(): 2}
	slices.SortStableFunc(trace.Objects, func(a, b TracedObject) int { return rank[a.Truth] - rank[b.Truth] })
	trace.Objects = trace.Objects[:min(len(trace.Objects), TracedObjects)]
	return result
}

// apply moves an object on as check.apply does, with an episode in place of an alert.
func (b *backtest) apply(o *alarmstate.Object, v Verdict, at int64) {
	spec := b.rule.spec
	switch advance(spec, o, v, at) {
	case fires:
		o.AlertID, o.LastNoticeMs = "backtest", at
		alert := alarmstate.Alert{Level: string(spec.Level), Labels: o.Labels, StartedMs: at, Conditions: v.Conditions}
		b.open[o.Object] = &Episode{Labels: o.Labels, FiredMs: at, TrueChecks: 1, Notices: 1, Message: b.gatherer.words.message(spec, alert, alarmstate.EventFiring, at)}
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
