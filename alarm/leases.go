package alarm

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/meta"
)

// shards is how many parts rules and channels are divided into. It must not
// change: replicas of two versions at once would disagree.
const shards = 64

// DefaultLease is how long a replica that has gone silent keeps its shards.
const DefaultLease = 10 * time.Second

// shardOf is where a rule, by id, or a channel, by workspace and name, belongs.
func shardOf(parts ...string) int {
	h := fnv.New32a()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return int(h.Sum32() % shards)
}

// leaseRow says who works on a shard. Each new holder raises the epoch, by which
// the one before it finds out in the transaction it would do harm with.
type leaseRow struct {
	bun.BaseModel `bun:"table:alarm_leases"`
	Shard         int    `bun:",pk"`
	Holder        string `bun:",notnull"` // empty: free
	Epoch         int64  `bun:",notnull"`
	UntilMs       int64  `bun:",notnull"` // by the database's clock
}

// replicaRow is an alarm process that works or would like to.
type replicaRow struct {
	bun.BaseModel `bun:"table:alarm_replicas"`
	ID            string `bun:",pk"`
	UntilMs       int64  `bun:",notnull"`
}

var leaseMigrations = []meta.Migration{
	meta.CreateTables("leases", (*leaseRow)(nil), (*replicaRow)(nil)),
	{Name: "one lease a shard", Up: func(ctx context.Context, db bun.IDB) error {
		rows := make([]leaseRow, shards)
		for i := range rows {
			rows[i].Shard = i
		}
		_, err := db.NewInsert().Model(&rows).Exec(ctx)
		return err
	}},
}

// leases are the shards this process works on.
type leases struct {
	db  *bun.DB
	id  string
	ttl time.Duration
	// clock is this process' own, for how long ago it renewed; it need not agree with any other.
	clock func() time.Time
	// databaseMs asks the database for its clock, the one that leases end by.
	databaseMs func(context.Context, bun.IDB) (int64, error)

	mu      sync.Mutex
	held    map[int]*lease
	renewed time.Time
}

// lease on one shard.
type lease struct {
	shard   int
	epoch   int64
	users   int  // who works under it now
	leaving bool // no new work: it is given up when nobody uses it
}

func newLeases(db *bun.DB, ttl time.Duration) *leases {
	return &leases{db: db, id: alarmstate.NewID("alarm_"), ttl: ttl, clock: time.Now, databaseMs: databaseMs, held: map[int]*lease{}}
}

// databaseMs is the time in the database server. All replicas that share an
// SQLite file share a machine and so a clock.
func databaseMs(ctx context.Context, db bun.IDB) (ms int64, err error) {
	q := "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)"
	if db.Dialect().Name() == dialect.PG {
		q = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
	}
	err = db.QueryRowContext(ctx, q).Scan(&ms)
	return ms, err
}

// use returns the lease of a shard for some work, nil when this process must not
// do it, and done to call after the work.
func (l *leases) use(shard int) (of *lease, done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	of = l.held[shard]
	if of == nil || of.leaving || !l.current() {
		return nil, func() {}
	}
	of.users++
	return of, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		of.users--
	}
}

// all are the leases that are held by now.
func (l *leases) all() map[int]*lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.held)
}

// holds reports whether work under a lease may go on.
func (l *leases) holds(of *lease) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held[of.shard] == of && l.current()
}

// current reports whether no other replica can have taken over yet. The lease
// was asked for after renewed, so that it ends here before it ends elsewhere.
func (l *leases) current() bool { return l.clock().Sub(l.renewed) < l.ttl }

// leasesLock is the number of PostgreSQL's advisory lock for renewals, made up.
const leasesLock = 0x70686c65617365

// ordered reads leases in the order of their shards and, on PostgreSQL, locks
// them; SQLite has one writer at a time.
func ordered(q *bun.SelectQuery, lock string) *bun.SelectQuery {
	q = q.Order("shard")
	if q.Dialect().Name() == dialect.PG {
		q = q.For(lock)
	}
	return q
}

// fence returns which of some leases have been lost, and keeps others from
// taking over the rest until the transaction ends.
func fence(ctx context.Context, tx bun.Tx, of map[int]*lease) (lost map[int]bool, err error) {
	if len(of) == 0 {
		return nil, nil
	}
	var rows []leaseRow
	q := tx.NewSelect().Model(&rows).Where("shard IN (?)", bun.List(slices.Collect(maps.Keys(of))))
	if err := ordered(q, "SHARE").Scan(ctx); err != nil {
		return nil, fmt.Errorf("cannot read alarm leases: %w", err)
	}
	lost = map[int]bool{}
	for _, r := range rows {
		if of[r.Shard].epoch != r.Epoch {
			lost[r.Shard] = true
		}
	}
	return lost, nil
}

// renew prolongs leases, gives up what is more than a fair share and takes what
// is free up to one. It reports whether shards were gained, and whether some
// are being left.
func (l *leases) renew(ctx context.Context) (gained, leaving bool, err error) {
	began := l.clock()
	l.mu.Lock()
	var give []int // nobody works under them any more
	for shard, of := range l.held {
		if of.leaving && of.users == 0 {
			give = append(give, shard)
		}
	}
	l.mu.Unlock()
	slices.Sort(give)
	var rows []leaseRow
	share := 0
	err = l.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if tx.Dialect().Name() == dialect.PG { // SQLite has one writer at a time
			if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(?)", int64(leasesLock)); err != nil {
				return err
			}
		}
		now, err := l.databaseMs(ctx, tx)
		if err != nil {
			return err
		}
		// Rows are locked in the order in which checks lock them, so that none waits for the other in a circle.
		var locked []int
		if err := ordered(tx.NewSelect().Model((*leaseRow)(nil)).Column("shard").Where("holder IN ('', ?) OR until_ms < ?", l.id, now), "UPDATE").Scan(ctx, &locked); err != nil {
			return err
		}
		until := now + l.ttl.Milliseconds()
		_, err = tx.NewInsert().Model(&replicaRow{ID: l.id, UntilMs: until}).On("CONFLICT (id) DO UPDATE").Set("until_ms = EXCLUDED.until_ms").Exec(ctx)
		if err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model((*replicaRow)(nil)).Where("until_ms < ?", now).Exec(ctx); err != nil {
			return err
		}
		var replicas []string
		if err := tx.NewSelect().Model((*replicaRow)(nil)).Column("id").Order("id").Scan(ctx, &replicas); err != nil {
			return err
		}
		share = fairShare(replicas, l.id)
		if len(give) > 0 {
			_, err := tx.NewUpdate().Model((*leaseRow)(nil)).Set("holder = '', epoch = epoch + 1, until_ms = 0").Where("holder = ? AND shard IN (?)", l.id, bun.List(give)).Exec(ctx)
			if err != nil {
				return err
			}
		}
		if _, err := tx.NewUpdate().Model((*leaseRow)(nil)).Set("until_ms = ?", until).Where("holder = ?", l.id).Exec(ctx); err != nil {
			return err
		}
		mine, err := tx.NewSelect().Model((*leaseRow)(nil)).Where("holder = ?", l.id).Count(ctx)
		if err != nil {
			return err
		}
		var free []int
		err = tx.NewSelect().Model((*leaseRow)(nil)).Column("shard").Where("holder = '' OR until_ms < ?", now).Order("shard").Scan(ctx, &free)
		if err != nil {
			return err
		}
		for _, shard := range free[:min(len(free), max(0, share-int(mine)))] {
			// Another may be quicker: then this changes nothing.
			_, err := tx.NewUpdate().Model((*leaseRow)(nil)).Set("holder = ?, epoch = epoch + 1, until_ms = ?", l.id, until).
				Where("shard = ? AND (holder = '' OR until_ms < ?)", shard, now).Exec(ctx)
			if err != nil {
				return err
			}
		}
		rows = nil
		return tx.NewSelect().Model(&rows).Where("holder = ?", l.id).Order("shard").Scan(ctx)
	})
	if err != nil {
		return false, false, fmt.Errorf("cannot renew alarm leases: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renewed = began
	held := make(map[int]*lease, len(rows))
	for _, r := range rows {
		of := l.held[r.Shard]
		if of == nil || of.epoch != r.Epoch {
			of, gained = &lease{shard: r.Shard, epoch: r.Epoch}, true
		}
		of.leaving = len(held) >= share
		leaving = leaving || of.leaving
		held[r.Shard] = of
	}
	l.held = held
	return gained, leaving, nil
}

// fairShare is how many shards the replica works on beside the others.
func fairShare(replicas []string, id string) int {
	n := shards / len(replicas)
	if slices.Index(replicas, id) < shards%len(replicas) {
		n++
	}
	return n
}

// release frees everything at the end of the process, for others to take at once.
func (l *leases) release(ctx context.Context) error {
	l.mu.Lock()
	l.held = map[int]*lease{}
	l.mu.Unlock()
	return l.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewUpdate().Model((*leaseRow)(nil)).Set("holder = '', epoch = epoch + 1, until_ms = 0").Where("holder = ?", l.id).Exec(ctx)
		if err != nil {
			return err
		}
		_, err = tx.NewDelete().Model(&replicaRow{ID: l.id}).WherePK().Exec(ctx)
		return err
	})
}

// keep renews leases until ctx ends; after a gain it calls gained.
func (l *leases) keep(ctx context.Context, failed func(error), gained func(context.Context)) {
	for {
		got, leaving, err := l.renew(ctx)
		if err != nil && ctx.Err() == nil {
			failed(err)
		}
		if got {
			gained(ctx)
		}
		next := l.ttl / 4
		if leaving || err != nil {
			next = min(next, 200*time.Millisecond)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(next):
		}
	}
}
