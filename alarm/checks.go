package alarm

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"
)

// catchUp is how far back missed checks are made good after a downtime.
const catchUp = 15 * time.Minute

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
	every := r.spec.Every.D().Milliseconds()
	now := a.o.Now().UnixMilli()
	if r.checkedMs == 0 { // a new rule begins with the last window that is over
		return now / every * every, 0
	}
	next := r.checkedMs/every*every + every
	if oldest := (now - catchUp.Milliseconds()) / every * every; next < oldest {
		return oldest, (oldest - next) / every
	}
	return next, 0
}

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
	over := a.o.Now().UnixMilli() >= check+r.spec.Wait.D().Milliseconds()
	d, err := g.gather(ctx, r, check, !over)
	if errors.Is(err, errNotSettled) || err != nil && (!over || ctx.Err() != nil) { // compute may be away for a moment
		return c, false
	}
	if err != nil {
		a.o.Logger.Warn("cannot check alarm rule", "rule", r.name, "workspace", r.workspace, "err", err)
	}
	if skipped > 0 {
		a.o.Logger.Warn("alarm checks skipped, they are too long ago", "rule", r.name, "workspace", r.workspace, "checks", skipped, "resumed_at", time.UnixMilli(check))
	}
	return gathered{rule: r, lease: of, ms: check, data: d, failure: err, skipped: skipped}, true
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
