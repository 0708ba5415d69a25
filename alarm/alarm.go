// Package alarm checks AlarmRule resources on settled windows, keeps the life
// of alerts, and tells people through channels.
//
// It promises that a check depends only on the rule, the stored data and the
// state before it; that state, events and queued notices change in one
// transaction, so that a kill -9 loses none and repeats at most a notice whose
// receiver had not answered yet; that incomplete data proves an excess but
// never a shortfall or a recovery; and that a slow receiver delays no other.
package alarm

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/uptrace/bun"
	"golang.org/x/sync/errgroup"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/channel"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/meta"
	"github.com/pharos-stack/pharos/internal/personal"
	"github.com/pharos-stack/pharos/internal/resource"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Resources reads definitions; internal/resource.Store is one.
type Resources interface {
	// List returns all resources of a kind, of all workspaces when workspace is empty.
	List(ctx context.Context, kind, workspace string) ([]resource.Object, error)
	// Reveal returns a resource with its secrets filled in.
	Reveal(ctx context.Context, kind, workspace, name string) (resource.Object, error)
}

// Options of the alarm tier. All but HTTP, Roots, Now, Language, ConsoleURL and Lease are required.
type Options struct {
	DB        *bun.DB
	Resources Resources
	Query     pharosv1.QueryServiceClient
	Logger    *slog.Logger
	// HTTP sends notices. Default: no redirects, 5 s timeout.
	HTTP *http.Client
	// Roots are whose certificates mail servers may have. Default the system's.
	Roots *x509.CertPool
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Language of notices, en or zh. Default en.
	Language string
	// ConsoleURL is the address people reach the console by, for links in notices.
	ConsoleURL string
	// Lease is how long a replica that has gone silent keeps its share of the work. Default DefaultLease.
	Lease time.Duration
	// CatchUp is how far back missed checks are made good after a downtime. Default 15 minutes.
	CatchUp time.Duration
}

// Alarm is the alarm tier.
type Alarm struct {
	o        Options
	monitors *monitorIndex
	gatherer *gatherer
	words    words
	// leases are nil where nothing but this process can be at work, as long as Run has not begun.
	leases *leases

	loading sync.Mutex

	mu    sync.Mutex
	rules map[string]*rule // by id
	// directories are who can be told, by workspace.
	directories map[string]*directory
}

// rule is one rule of an enabled AlarmRule.
type rule struct {
	// id is the AlarmRule's, with the rule's name behind it where there are several.
	id, name, part, workspace string
	// kind of its alerts.
	kind string
	spec alarmrule.Spec
	// narrow is its own effective time, within that of spec.
	narrow *alarmrule.Active
	// except are filters of the keys that rules before it have taken.
	except []keyFilter
	// checkedMs is the end of the last check that is recorded; earlyMs is when
	// one was last looked at before its windows had settled.
	checkedMs, earlyMs int64
}

// title is what people know the rule by.
func (r *rule) title() string {
	if r.part == "" {
		return r.spec.Title
	}
	return r.spec.Title + " · " + r.part
}

// active reports whether the minute that ends at ms is in the effective time.
func (r *rule) active(ms int64) bool {
	t := time.UnixMilli(ms - minuteMs).In(r.spec.Location())
	return r.spec.Active.Covers(t) && r.narrow.Covers(t)
}

// leavesOut reports whether a rule before r has taken an object.
func (r *rule) leavesOut(labels map[string]string) bool {
	return slices.ContainsFunc(r.except, func(f keyFilter) bool { return f.passes(labels) })
}

// rulesOf are the rules of an AlarmRule, and the one that tells of missing data.
func rulesOf(o resource.Object, spec alarmrule.Spec, words words) []*rule {
	spec = spec.WithDefaults()
	one := func(suffix, part string, s alarmrule.Spec) *rule {
		r := &rule{id: o.Metadata.ID + suffix, name: o.Metadata.Name, part: part, workspace: o.Metadata.Workspace, kind: alarmstate.KindThreshold, spec: s}
		if slices.ContainsFunc(s.Conditions, func(c alarmrule.Condition) bool { return c.Method == alarmrule.Items }) {
			r.kind = alarmstate.KindTop
		}
		return r
	}
	var out []*rule
	var watched []string
	for _, p := range spec.Parts() {
		suffix := ""
		if p.Name != "" {
			suffix = "/" + p.Name
		}
		r := one(suffix, p.Name, p.Spec)
		r.narrow = p.Narrow
		for _, c := range p.Except {
			r.except = append(r.except, newKeyFilter(c))
		}
		out = append(out, r)
		for _, c := range p.Spec.Conditions {
			if c.Monitor != "" && !slices.Contains(watched, c.Monitor) {
				watched = append(watched, c.Monitor)
			}
		}
	}
	if spec.NoData == 0 {
		return out
	}
	for _, m := range watched { // each monitor falls silent on its own
		s := spec
		s.Rules, s.Join, s.For, s.Of = nil, alarmrule.All, 1, 0
		s.Conditions = []alarmrule.Condition{{Monitor: m, Method: alarmrule.Silence, Op: alarmrule.GE, Threshold: new(spec.NoData.D().Minutes())}}
		r := one("/no_data/"+m, words.noData, s)
		r.kind = alarmstate.KindNoData
		out = append(out, r)
	}
	return out
}

// New prepares the alarm tables.
func New(ctx context.Context, o Options) (*Alarm, error) {
	if o.HTTP == nil {
		o.HTTP = &http.Client{Timeout: 5 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Lease == 0 {
		o.Lease = DefaultLease
	}
	if o.CatchUp == 0 {
		o.CatchUp = 15 * time.Minute
	}
	if o.Language == "" {
		o.Language = "en"
	}
	if err := meta.Migrate(ctx, o.DB, "alarm", alarmstate.Migrations); err != nil {
		return nil, err
	}
	// A component of its own: only this tier knows of requests.
	if err := meta.Migrate(ctx, o.DB, "alarm_requests", requestMigrations); err != nil {
		return nil, err
	}
	if err := meta.Migrate(ctx, o.DB, "alarm_leases", leaseMigrations); err != nil {
		return nil, err
	}
	if err := meta.Migrate(ctx, o.DB, "alarm_throttles", throttleMigrations); err != nil {
		return nil, err
	}
	if err := personal.Migrate(ctx, o.DB); err != nil {
		return nil, err
	}
	monitors := &monitorIndex{}
	return &Alarm{o: o, monitors: monitors, gatherer: newGatherer(o.Query, monitors, o.Language), words: wordsOf(o.Language), rules: map[string]*rule{}}, nil
}

// Run checks rules and delivers notices until ctx ends, as one of the replicas
// that share the database.
func (a *Alarm) Run(ctx context.Context) error {
	a.leases = newLeases(a.o.DB, a.o.Lease)
	defer a.leave(context.WithoutCancel(ctx))
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		a.leases.keep(ctx, func(err error) { a.o.Logger.Warn("cannot share the work with other replicas", "err", err) }, a.gained)
		return nil
	})
	g.Go(func() error {
		meta.Watch(ctx, a.o.DB, a.o.Logger, []string{"resources"}, a.load)
		return nil
	})
	g.Go(func() error { a.checkLoop(ctx); return nil })
	g.Go(func() error { a.deliverLoop(ctx); return nil })
	g.Go(func() error { a.expireLoop(ctx); return nil })
	return g.Wait()
}

// load reads rules and monitors, and closes the alerts of rules that are gone.
func (a *Alarm) load(ctx context.Context) error {
	a.loading.Lock()
	defer a.loading.Unlock()
	mine := a.heldLeases() // before the rules, so that no other has checked one that is not among them
	objects, err := a.o.Resources.List(ctx, "LogMonitor", "")
	if err != nil {
		return err
	}
	index := map[[2]string]*monitor{}
	rules := map[string]*rule{}
	for _, o := range objects {
		var spec logrule.Spec
		if err := json.Unmarshal(o.Spec, &spec); err != nil {
			a.o.Logger.Error("cannot read monitor", "name", o.Metadata.Name, "err", err)
			continue
		}
		if spec.Disabled {
			continue
		}
		index[[2]string{o.Metadata.Workspace, o.Metadata.Name}] = &monitor{id: o.Metadata.ID, key: o.Metadata.Name, spec: spec.WithDefaults()}
		if spec.Type == logrule.Match && spec.Match != nil {
			for _, r := range matchRules(o, spec.Match) {
				rules[r.id] = r
			}
		}
	}
	if objects, err = a.o.Resources.List(ctx, "AlarmRule", ""); err != nil {
		return err
	}
	positions, err := alarmstate.Positions(ctx, a.o.DB)
	if err != nil {
		return err
	}
	for _, o := range objects {
		var spec alarmrule.Spec
		if err := json.Unmarshal(o.Spec, &spec); err != nil {
			a.o.Logger.Error("cannot read alarm rule", "name", o.Metadata.Name, "err", err)
			continue
		}
		if spec.Disabled {
			continue
		}
		for _, r := range rulesOf(o, spec, a.words) {
			rules[r.id] = r
		}
	}
	for _, r := range rules {
		r.checkedMs = positions[r.id].CheckedMs
	}
	directories, err := a.loadDirectories(ctx)
	if err != nil {
		return err
	}
	a.monitors.set(index)
	a.mu.Lock()
	a.rules, a.directories = rules, directories
	a.mu.Unlock()
	return a.closeGone(ctx, rules, mine)
}

// channelSpec reads a channel with its secrets.
func (a *Alarm) channelSpec(ctx context.Context, workspace, name string) (channel.Spec, error) {
	o, err := a.o.Resources.Reveal(ctx, "Channel", workspace, name)
	if err != nil {
		return channel.Spec{}, fmt.Errorf("cannot read channel %q: %w", name, err)
	}
	var spec channel.Spec
	if err := json.Unmarshal(o.Spec, &spec); err != nil {
		return channel.Spec{}, fmt.Errorf("cannot read channel %q: %w", name, err)
	}
	return spec.WithDefaults(), nil
}

// monitorIndex finds monitors by workspace and key.
type monitorIndex struct {
	mu sync.RWMutex
	m  map[[2]string]*monitor
}

func (x *monitorIndex) set(m map[[2]string]*monitor) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.m = m
}

func (x *monitorIndex) get(workspace, key string) *monitor {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.m[[2]string{workspace, key}]
}
