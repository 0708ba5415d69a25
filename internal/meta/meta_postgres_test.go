package meta_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/internal/meta"
	"github.com/pharos-stack/pharos/internal/meta/metatest"
)

type thing struct {
	bun.BaseModel `bun:"table:things"`
	ID            int64  `bun:",pk,autoincrement"`
	Name          string `bun:",notnull"`
}

func TestEveryDatabaseMigratesOnceAndTogether(t *testing.T) {
	metatest.Each(t, func(t *testing.T, open func(*testing.T) *bun.DB) {
		db := open(t)
		ctx := t.Context()
		steps := []meta.Migration{meta.CreateTables("things", (*thing)(nil)), {Name: "seed", Up: func(ctx context.Context, db bun.IDB) error {
			_, err := db.NewInsert().Model(&thing{Name: "a"}).Exec(ctx)
			return err
		}}}
		// Several processes start at once: the steps run once.
		var wg sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			wg.Go(func() { errs[i] = meta.Migrate(ctx, db, "things", steps) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if n, err := db.NewSelect().Model((*thing)(nil)).Count(ctx); err != nil || n != 1 {
			t.Fatalf("%d things, %v", n, err)
		}
		// A step that fails leaves nothing behind.
		broken := append(steps, meta.Migration{Name: "broken", Up: func(ctx context.Context, db bun.IDB) error {
			if _, err := db.NewInsert().Model(&thing{Name: "b"}).Exec(ctx); err != nil {
				return err
			}
			return errors.New("broken")
		}})
		if err := meta.Migrate(ctx, db, "things", broken); err == nil {
			t.Fatal("a broken step passed")
		}
		if n, err := db.NewSelect().Model((*thing)(nil)).Count(ctx); err != nil || n != 1 {
			t.Fatalf("%d things after a broken step, %v", n, err)
		}
		for range 2 {
			if err := meta.Changed(ctx, db, "x"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestOpenAllAtOnce(t *testing.T) {
	dsns := map[string]func(*testing.T) string{
		"postgres": metatest.PostgresServer,
		"sqlite":   func(t *testing.T) string { return filepath.Join(t.TempDir(), "meta.db") },
	}
	for name, dsn := range dsns {
		t.Run(name, func(t *testing.T) {
			dsn := dsn(t)
			var wg sync.WaitGroup
			errs := make([]error, 16)
			for i := range errs {
				wg.Go(func() {
					db, err := meta.Open(t.Context(), dsn)
					if err == nil {
						err = db.Close()
					}
					errs[i] = err
				})
			}
			wg.Wait()
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
		})
	}
}
