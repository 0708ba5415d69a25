package enroll

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/pharos-stack/pharos/internal/meta"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
	"github.com/uptrace/bun"
)

// Server is a vessel or compute that was ever seen. A compute keeps its place
// in the ring, also while it is away, until it is forgotten.
type Server struct {
	bun.BaseModel `bun:"table:servers"`
	ID            string              `bun:",pk"`
	Role          pharosv1.ServerRole `bun:",pk"`
	Address       string              `bun:",notnull"`
	Version       string              `bun:",notnull"`
	FirstSeenMs   int64               `bun:",notnull"`
	LastSeenMs    int64               `bun:",notnull"`
	// MemberFromMs is the first window start a compute can own.
	MemberFromMs int64 `bun:",notnull"`
}

// JoinDelay is how long after its first contact a compute begins to own
// windows: an hour, since lines may be that far ahead of the clock
// (logrule.FutureAccept) and a window that has begun must not change owner;
// and some minutes for all vessels to hear of it.
const JoinDelay = time.Hour + 5*time.Minute

// AddServer records a server that introduces itself. A compute that comes
// before any agent was admitted is a founder and owns windows from the beginning.
func AddServer(ctx context.Context, db *bun.DB, hello *pharosv1.ServerHello, now time.Time) (Server, error) {
	s := Server{ID: hello.GetServerId(), Role: hello.GetRole()}
	err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		err := tx.NewSelect().Model(&s).WherePK().Scan(ctx)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			s.FirstSeenMs = now.UnixMilli()
			if s.Role == pharosv1.ServerRole_SERVER_ROLE_COMPUTE {
				if s.MemberFromMs, err = memberFrom(ctx, tx, now); err != nil {
					return err
				}
			}
		case err != nil:
			return err
		}
		s.Address, s.Version, s.LastSeenMs = hello.GetAddress(), hello.GetVersion(), now.UnixMilli()
		if _, err := tx.NewInsert().Model(&s).On("CONFLICT (id, role) DO UPDATE").Set("address = EXCLUDED.address").
			Set("version = EXCLUDED.version").Set("last_seen_ms = EXCLUDED.last_seen_ms").Exec(ctx); err != nil {
			return err
		}
		return meta.Changed(ctx, tx, TopicServers)
	})
	if err != nil {
		return Server{}, fmt.Errorf("cannot record server %q: %w", hello.GetServerId(), err)
	}
	return s, nil
}

func memberFrom(ctx context.Context, tx bun.Tx, now time.Time) (int64, error) {
	agents, err := tx.NewSelect().Model((*Agent)(nil)).Count(ctx)
	if err != nil {
		return 0, err
	}
	computes, err := tx.NewSelect().Model((*Server)(nil)).Where("role = ?", pharosv1.ServerRole_SERVER_ROLE_COMPUTE).Count(ctx)
	if err != nil {
		return 0, err
	}
	if agents == 0 || computes == 0 {
		return 0, nil
	}
	return now.Add(JoinDelay).UnixMilli(), nil
}

// ListServers returns all servers, by role and id.
func ListServers(ctx context.Context, db bun.IDB) ([]Server, error) {
	var servers []Server
	if err := db.NewSelect().Model(&servers).Order("role", "id").Scan(ctx); err != nil {
		return nil, fmt.Errorf("cannot list servers: %w", err)
	}
	return servers, nil
}

// ForgetServer removes a server for good. What agents still hold for windows of
// a forgotten compute goes to those that remain, without what it had.
func ForgetServer(ctx context.Context, db *bun.DB, role pharosv1.ServerRole, id string) error {
	return change(ctx, db, "forget server", id, TopicServers, func(tx bun.Tx) (sql.Result, error) {
		return tx.NewDelete().Model((*Server)(nil)).Where("id = ? AND role = ?", id, role).Exec(ctx)
	})
}

func sameHost(a, b Host) bool {
	labels := maps.Equal(a.Labels, b.Labels)
	return labels && a.Hostname == b.Hostname && a.IP == b.IP && a.OS == b.OS && a.Kernel == b.Kernel && a.Arch == b.Arch &&
		a.CPUs == b.CPUs && a.MemoryBytes == b.MemoryBytes && a.Timezone == b.Timezone
}
