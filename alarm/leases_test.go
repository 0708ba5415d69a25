package alarm

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/channel"
	"github.com/pharos-stack/pharos/internal/meta/metatest"
)

// replicas are alarm processes on one database, moved by hand. All clocks are
// the test's: the database's, and each process' own, which need not agree.
type replicas struct {
	t        *testing.T
	w        *world
	db       *bun.DB
	seconds  int64 // the database's clock
	members  []*Alarm
	held     map[*Alarm][]gathered // checks that a process has gathered and not recorded yet
	receiver *receiver
}

func (r *replicas) start() *Alarm {
	a, err := New(r.t.Context(), Options{DB: r.db, Resources: r.w, Query: r.w, Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time { r.w.mu.Lock(); defer r.w.mu.Unlock(); return r.w.now }})
	if err != nil {
		r.t.Fatal(err)
	}
	a.leases = newLeases(r.db, DefaultLease)
	own := rand.Int64N(1e6) // a clock that is right about how long something takes, and about nothing else
	a.leases.clock = func() time.Time { return time.Unix(own+r.seconds, 0) }
	a.leases.databaseMs = func(context.Context, bun.IDB) (int64, error) { return r.seconds * 1000, nil }
	return a
}

func (r *replicas) renew(a *Alarm) {
	if gained, _, err := a.leases.renew(r.t.Context()); err != nil {
		r.t.Fatal(err)
	} else if gained {
		a.gained(r.t.Context())
	}
}

func (r *replicas) rules(a *Alarm) (all []*rule) {
	for _, of := range a.rules {
		all = append(all, of)
	}
	slices.SortFunc(all, func(x, y *rule) int { return strings.Compare(x.id, y.id) })
	return all
}

func (r *replicas) deliver(a *Alarm) {
	for _, name := range []string{"one", "two", "three"} {
		of, done, mine := a.use(shardOf("default", name))
		if mine {
			if err := a.deliverChannel(r.t.Context(), of, "default", name); err != nil {
				r.t.Fatal(err)
			}
		}
		done()
	}
}

// eventsOf lists events by rule, in the order of each.
func eventsOf(t *testing.T, db *bun.DB) map[string][]string {
	var rows []alarmstate.Event
	if err := db.NewSelect().Model(&rows).Order("time_ms", "rule", "sequence").Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, e := range rows {
		key := e.Rule + " " + e.Labels["goods"]
		out[key] = append(out[key], fmt.Sprintf("%s@%d #%d", e.Type, e.TimeMs/minute, e.Sequence))
	}
	return out
}

func sharedWorld(url string) *world {
	w := newWorld()
	for i, name := range []string{"one", "two", "three"} {
		w.set("Channel", fmt.Sprintf("chn_%d", i), name, channel.Spec{Type: channel.TypeWebhook, Webhook: &channel.Webhook{URL: url}})
	}
	for i := range 12 {
		threshold := float64(5 + i*7)
		w.set("AlarmRule", fmt.Sprintf("rul_%d", i), fmt.Sprintf("rule%d", i), foodRule(func(s *alarmrule.Spec) {
			s.Conditions[0].Threshold, s.For, s.RecoverAfter = &threshold, 1+i%2, 1+i%3
			s.Channels = []string{[]string{"one", "two", "three"}[i%3]}
		}))
	}
	return w
}

// TestShardsMove lets replicas come, go, freeze and wake while windows settle
// in time or late, by chance. What is told must be what a lone process tells.
func TestShardsMove(t *testing.T) {
	seeds := uint64(3)
	if os.Getenv("PHAROS_SOAK") != "" {
		seeds = 40
	}
	metatest.Each(t, func(t *testing.T, open func(*testing.T) *bun.DB) {
		for seed := range seeds {
			t.Run(fmt.Sprint(seed), func(t *testing.T) { shardsMove(t, open(t), seed) })
		}
	})
}

func shardsMove(t *testing.T, db *bun.DB, seed uint64) {
	chance := rand.New(rand.NewPCG(seed, 0))
	lone := newFixture(t, sharedWorld("http://127.0.0.1:1"))
	r := &replicas{t: t, db: db, held: map[*Alarm][]gathered{}, receiver: newReceiver(t, answer(200, "ok"))}
	r.w = sharedWorld(r.receiver.URL)
	for range 3 {
		r.members = append(r.members, r.start())
	}
	all := func(do func(*Alarm)) {
		for _, a := range r.members {
			do(a)
		}
	}
	all(r.renew)
	start := 10 * minute
	lone.minute(1, nil)
	r.w.settle(start, 1, nil)
	start += minute
	r.finish(all) // every rule has begun: a new one begins with the newest window
	act := func() {
		i := chance.IntN(len(r.members))
		a := r.members[i]
		switch chance.IntN(8) {
		case 0: // time passes, and those that renew stay
			r.seconds += chance.Int64N(8)
		case 1:
			r.renew(a)
		case 2, 3:
			a.checkRules(t.Context(), r.rules(a))
		case 4: // it stops in the midst of its checks
			delete(r.held, a)
			for _, of := range r.rules(a) {
				if next, _ := a.nextCheck(of); next <= a.o.Now().UnixMilli() {
					if c, ok := a.gatherCheck(t.Context(), a.gatherer, of); ok {
						r.held[a] = append(r.held[a], c)
					}
				}
			}
		case 5: // and wakes
			a.recordChecks(t.Context(), r.held[a])
			delete(r.held, a)
		case 6:
			r.deliver(a)
		case 7: // it is killed, or ends
			if chance.IntN(2) == 0 {
				a.leave(t.Context())
			}
			delete(r.held, a)
			r.members[i] = r.start()
			r.renew(r.members[i])
		}
	}
	for range 30 {
		values := map[string]float64{}
		for _, goods := range []string{"food", "home"} {
			if chance.IntN(5) > 0 {
				values[goods] = float64(chance.IntN(100))
			}
		}
		share := 1.0
		if chance.IntN(6) == 0 {
			share = 0.5
		}
		lone.minute(share, values)
		r.w.mu.Lock()
		r.w.now = time.UnixMilli(start + minute + 1000)
		r.w.mu.Unlock()
		for range chance.IntN(6) { // the window is late
			act()
		}
		r.w.settle(start, share, values)
		start += minute
		for range chance.IntN(12) {
			act()
		}
		if r.w.now.UnixMilli()-oldest(r) > 8*minute { // far below what is skipped
			r.finish(all)
		}
	}
	r.finish(all)
	want, got := eventsOf(t, lone.db), eventsOf(t, db)
	for key := range want {
		if !slices.Equal(got[key], want[key]) {
			t.Errorf("%s: events are\n%v, alone\n%v", key, got[key], want[key])
		}
		delete(got, key)
	}
	if len(got) > 0 {
		t.Errorf("also told: %v", got)
	}
	notices, err := db.NewSelect().Model((*alarmstate.Delivery)(nil)).Count(t.Context())
	if err != nil || notices == 0 {
		t.Fatalf("%d notices: %v", notices, err)
	}
	sent := 0
	var rows []alarmstate.Delivery
	if err := db.NewSelect().Model(&rows).Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, d := range rows {
		if sent += d.Attempts; d.State != alarmstate.Sent || d.Attempts != 1 {
			t.Errorf("notice %s is %s after %d attempts: %s", d.ID, d.State, d.Attempts, d.Error)
		}
	}
	if n := len(r.receiver.bodies); n != sent {
		t.Errorf("%d requests for %d notices", n, sent)
	}
}

// oldest check of all rules.
func oldest(r *replicas) int64 {
	out := r.w.now.UnixMilli()
	positions, err := alarmstate.Positions(r.t.Context(), r.db)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, p := range positions {
		out = min(out, p.CheckedMs)
	}
	return out
}

// finish lets every lease of those that are gone end and all work be done.
func (r *replicas) finish(all func(func(*Alarm))) {
	r.seconds += int64(DefaultLease/time.Second) + 1
	for range 3 { // give up, then take
		all(r.renew)
	}
	all(func(a *Alarm) { a.checkRules(r.t.Context(), r.rules(a)) })
	all(r.deliver)
	held := 0
	all(func(a *Alarm) { held += len(a.leases.all()) })
	if held != shards {
		r.t.Fatalf("%d of %d shards are held", held, shards)
	}
}
