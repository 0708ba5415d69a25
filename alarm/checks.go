package alarm

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pharos-stack/pharos/internal/alarmrule"
)

// checkLoop looks every second for rules that are due.
func (a *Alarm) checkLoop(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		a.mu.Lock()
		var due []*rule
		for _, r := range a.rules {
			due = append(due, r)
		}
		a.mu.Unlock()
		a.checkRules(ctx, due)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// nextCheck returns the end of the window that r is to be checked at next, and
// how many checks before it are skipped because they are too long ago.
func (a *Alarm) nextCheck(r *rule) (ms, skipped int64) {
	now := a.o.Now().UnixMilli()
	if r.checkedMs == 0 { // a new rule begins with the last window that is over
		return r.spec.CheckAt(now), 0
	}
	ms = r.spec.NextCheck(r.checkedMs)
	if oldest := r.spec.CheckAt(now - a.o.CatchUp.Milliseconds()); ms < oldest {
		return oldest, (oldest - ms) / r.spec.Every.D().Milliseconds()
	}
	return ms, 0
}

// errInactive says that a check is outside the effective time of its rule.
var errInactive = errors.New("outside the effective time")

// Windows that have not settled early after their end are looked at for what
// is certain already, again and again.
const (
	earlyAfter = 3 * time.Second
	earlyEvery = 5 * time.Second
)

// gathered is a check whose data is there, to be recorded.
type gathered struct {
	rule    *rule
	lease   *lease // nil where no other can be at work
	ms      int64
	data    data
	failure error
	skipped int64 // checks before it
}

const (
	// gatherers is how many checks are gathered at a time.
	gatherers = 8
	// recordAtOnce bounds the checks that are recorded in one transaction.
	recordAtOnce = 256
)

// checkRule makes all checks of r that are due, oldest first.
func (a *Alarm) checkRule(ctx context.Context, r *rule) { a.checkRules(ctx, []*rule{r}) }

// checkRules makes all checks of rules that are due, oldest first. Rules that
// ask the same share the answer, and what is gathered by the time is recorded together.
func (a *Alarm) checkRules(ctx context.Context, rules []*rule) {
	for len(rules) > 0 && ctx.Err() == nil {
		g := *a.gatherer
		g.query = newSharedQuery(a.gatherer.query)
		results := make(chan gathered, recordAtOnce)
		round := rules
		go func() {
			var workers errgroup.Group
			workers.SetLimit(gatherers)
			for _, r := range round {
				if check, _ := a.nextCheck(r); check <= a.o.Now().UnixMilli() {
					workers.Go(func() error {
						if c, ok := a.gatherCheck(ctx, &g, r); ok {
							results <- c
						}
						return nil
					})
				}
			}
			workers.Wait()
			close(results)
		}()
		rules = nil
		for first := range results {
			list := []gathered{first}
			for len(list) < recordAtOnce {
				c, more := next(results)
				if !more {
					break
				}
				list = append(list, c)
			}
			rules = append(rules, a.recordChecks(ctx, list)...)
		}
	}
}

// next takes what is there by now.
func next(results <-chan gathered) (c gathered, ok bool) {
	select {
	case c, ok = <-results:
	default:
	}
	return c, ok
}

// gatherCheck gathers the next check of r. A check whose window has not settled
// is left for later until the rule's wait is over, as one whose lease another has.
func (a *Alarm) gatherCheck(ctx context.Context, g *gatherer, r *rule) (c gathered, ok bool) {
	of, done, mine := a.use(shardOf(r.id))
	defer done()
	if !mine {
		return c, false
	}
	check, skipped := a.nextCheck(r)
	now := a.o.Now().UnixMilli()
	if skipped > 0 {
		a.o.Logger.Warn("alarm checks skipped, they are too long ago", "rule", r.name, "workspace", r.workspace, "checks", skipped, "resumed_at", time.UnixMilli(check))
	}
	if !r.active(check) {
		return gathered{rule: r, lease: of, ms: check, failure: errInactive, skipped: skipped}, true
	}
	over, p := now >= check+r.spec.Wait.D().Milliseconds(), settled
	if over {
		p = asItIs
	}
	d, err := g.gather(ctx, r, check, p)
	if errors.Is(err, errNotSettled) {
		a.checkEarly(ctx, g, r, of, check, now)
		return c, false
	}
	if err != nil && (!over || ctx.Err() != nil) { // compute may be away for a moment
		return c, false
	}
	if err != nil {
		a.o.Logger.Warn("cannot check alarm rule", "rule", r.name, "workspace", r.workspace, "err", err)
	}
	return gathered{rule: r, lease: of, ms: check, data: d, failure: err, skipped: skipped}, true
}

// checkEarly looks at a check whose windows have not settled for what can only
// become more true: a count that is above its threshold need not wait for the
// last agent.
func (a *Alarm) checkEarly(ctx context.Context, g *gatherer, r *rule, of *lease, check, now int64) {
	if now < check+earlyAfter.Milliseconds() || now < r.earlyMs+earlyEvery.Milliseconds() ||
		!slices.ContainsFunc(r.spec.Conditions, func(c alarmrule.Condition) bool { return c.Op.Above() || c.Op.Below() }) {
		return
	}
	r.earlyMs = now
	d, err := g.gather(ctx, r, check, proofs)
	if err != nil {
		return // it is made again when the windows have settled
	}
	if err := a.recordEarly(ctx, r, of, check, d); err != nil {
		a.o.Logger.Error("cannot record alarm check", "rule", r.name, "workspace", r.workspace, "err", err)
	}
}

// recordChecks records checks in one transaction and returns the rules whose
// check is. A check that can't be recorded must not keep the others from it.
func (a *Alarm) recordChecks(ctx context.Context, list []gathered) (recorded []*rule) {
	lost, err := a.record(ctx, list)
	if err != nil && len(list) > 1 {
		for _, c := range list {
			recorded = append(recorded, a.recordChecks(ctx, []gathered{c})...)
		}
		return recorded
	}
	if err != nil {
		r := list[0].rule
		a.o.Logger.Error("cannot record alarm check", "rule", r.name, "workspace", r.workspace, "err", err)
		return nil
	}
	for _, c := range list {
		if c.lease == nil || !lost[c.lease.shard] {
			c.rule.checkedMs = c.ms
			recorded = append(recorded, c.rule)
		}
	}
	return recorded
}
