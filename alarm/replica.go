package alarm

import (
	"context"

	"github.com/uptrace/bun"
)

// use returns the lease for work on a shard, and done to call after it; mine is
// false for what another replica does. Before Run there are no leases to lose.
func (a *Alarm) use(shard int) (of *lease, done func(), mine bool) {
	if a.leases == nil {
		return nil, func() {}, true
	}
	of, done = a.leases.use(shard)
	return of, done, of != nil
}

// stillMine reports whether work under a lease may go on.
func (a *Alarm) stillMine(of *lease) bool { return of == nil || a.leases.holds(of) }

// heldLeases are this process' own by now; nil before Run, when everything is.
func (a *Alarm) heldLeases() map[int]*lease {
	if a.leases == nil {
		return nil
	}
	return a.leases.all()
}

// fenced runs fn in a transaction if what concerns a rule is this process' to
// do: if its shard is among mine and has not been taken over.
func (a *Alarm) fenced(ctx context.Context, ruleID string, mine map[int]*lease, fn func(context.Context, bun.Tx) error) error {
	held := map[int]*lease{}
	if mine != nil {
		of := mine[shardOf(ruleID)]
		if of == nil {
			return nil
		}
		held[of.shard] = of
	}
	return a.o.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		lost, err := fence(ctx, tx, held)
		if err != nil || len(lost) > 0 {
			return err
		}
		return fn(ctx, tx)
	})
}

// gained reads how far the rules of new shards have been checked.
func (a *Alarm) gained(ctx context.Context) {
	if err := a.load(ctx); err != nil && ctx.Err() == nil {
		a.o.Logger.Warn("cannot load alarm rules", "err", err)
	}
}

// leave lets others take over at once.
func (a *Alarm) leave(ctx context.Context) {
	if err := a.leases.release(ctx); err != nil {
		a.o.Logger.Warn("cannot give up alarm leases; others take over when they end", "err", err)
	}
}
