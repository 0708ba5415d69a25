package meta

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/uptrace/bun"
)

func TestMigrateRunsEachStepOnce(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "meta.db")
	runs := map[string]int{}
	step := func(name string) Migration {
		return Migration{Name: name, Up: func(context.Context, bun.IDB) error { runs[name]++; return nil }}
	}
	for _, steps := range [][]Migration{{step("a")}, {step("a"), step("b")}} {
		db, err := Open(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		if err := Migrate(ctx, db, "test", steps); err != nil {
			t.Fatal(err)
		}
		db.Close()
	}
	if runs["a"] != 1 || runs["b"] != 1 {
		t.Fatalf("steps ran %v", runs)
	}
	db, err := Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := Migrate(ctx, db, "test", nil); err == nil {
		t.Fatal("an older program accepted a newer database")
	}
}

func TestWatchSeesChangesOfOtherConnections(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	path := filepath.Join(t.TempDir(), "meta.db")
	reader, err := Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	writer, err := Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	calls := make(chan int, 10)
	n := 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		Watch(ctx, reader, slog.New(slog.DiscardHandler), []string{"x"}, func(context.Context) error {
			n++
			calls <- n
			if n == 2 {
				return errors.New("tried again")
			}
			return nil
		})
	}()
	if got := <-calls; got != 1 {
		t.Fatal(got)
	}
	if err := Changed(ctx, writer, "x"); err != nil {
		t.Fatal(err)
	}
	if got := <-calls; got != 2 {
		t.Fatal(got)
	}
	if got := <-calls; got != 3 { // after the error
		t.Fatal(got)
	}
	cancel()
	<-done
}
