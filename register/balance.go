package register

import (
	"context"
	"slices"
	"time"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// settleDown is how long after its start register leaves agents where they
// were, though their vessel has not come back yet.
const settleDown = 5 * time.Second

// restBetweenMoves keeps an agent where it was moved for balance, so that a load that
// swings doesn't send it to and fro.
const restBetweenMoves = 30 * time.Second

// assignVessels keeps every agent with a vessel.
func (r *Register) assignVessels(ctx context.Context) {
	tick := time.NewTicker(r.opts.Rebalance)
	defer tick.Stop()
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		rebalance := false
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			rebalance = true
		case <-again.C:
		case <-r.reassign:
		}
		wait, err := r.assignOnce(ctx, rebalance)
		if err != nil && ctx.Err() == nil {
			r.log.Warn("cannot store vessel assignments, they hold until register restarts", "err", err)
		}
		if wait > 0 {
			again.Reset(wait)
		}
	}
}

// assignOnce gives vessels to agents that need one, moves some if asked to, and
// tells the agents. It returns when it has to look again for a vessel that may come back.
func (r *Register) assignOnce(ctx context.Context, rebalance bool) (time.Duration, error) {
	now := time.Now()
	changed := map[string]string{}
	r.mu.Lock()
	live, lingering, wait := r.liveVessels(now)
	seats := make([]seat, 0, len(r.agents))
	for id, a := range r.agents {
		if a.session == nil || lingering[a.vessel] {
			continue
		}
		seats = append(seats, seat{agent: id, vessel: a.vessel, weight: a.rate.weight(), fixed: now.Sub(a.moved) < restBetweenMoves})
	}
	moves := 0
	if rebalance {
		moves = max(2, len(seats)/20)
	}
	for _, s := range assign(live, seats, moves) {
		a := r.agents[s.agent]
		if slices.Contains(live, a.vessel) {
			a.moved = now
		}
		a.vessel = s.vessel
		changed[s.agent] = s.vessel
	}
	for id, a := range r.agents {
		r.offerVessel(id, a, now)
	}
	r.mu.Unlock()
	return wait, r.storeVessels(ctx, changed)
}

// liveVessels returns the vessels to assign to; those that may be back in a
// moment, whose agents stay with them; and how long until that moment is over.
// r.mu is held.
func (r *Register) liveVessels(now time.Time) (live []string, lingering map[string]bool, wait time.Duration) {
	lingering = map[string]bool{}
	for key, s := range r.servers {
		if key.role != pharosv1.ServerRole_SERVER_ROLE_VESSEL {
			continue
		}
		left := r.opts.VesselLinger - now.Sub(s.left)
		if s.left.IsZero() {
			left = settleDown - now.Sub(r.started)
		}
		switch {
		case s.session != nil:
			live = append(live, key.id)
		case left > 0:
			lingering[key.id] = true
			wait = max(wait, left)
		}
	}
	return live, lingering, wait
}

// offerVessel tells a connected agent its vessel's address, or renews its token. r.mu is held.
func (r *Register) offerVessel(id string, a *agent, now time.Time) {
	if a.session == nil || a.vessel == "" {
		return
	}
	v := r.servers[serverKey{pharosv1.ServerRole_SERVER_ROLE_VESSEL, a.vessel}]
	if v == nil || v.stored.Address == "" || a.sent.address == v.stored.Address && now.Before(a.sent.renew) {
		return
	}
	a.sent = assignment{address: v.stored.Address, renew: now.Add(r.opts.VesselToken / 2)}
	a.session.out.setVessel(&pharosv1.VesselAssignment{Address: a.sent.address,
		Token: r.opts.ClusterKey.SignVesselToken(id, r.opts.Now().Add(r.opts.VesselToken))})
}
