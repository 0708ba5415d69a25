package register

import (
	"bytes"
	"encoding/json"
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/audit"
	"github.com/pharos-stack/pharos/internal/enroll"
	"github.com/pharos-stack/pharos/internal/meta"
	"github.com/pharos-stack/pharos/internal/resource"
	"github.com/pharos-stack/pharos/internal/secret"
)

// Where a monitor stands in the console is nothing to agents: no plan changes.
func TestMovingAMonitorChangesNoPlan(t *testing.T) {
	ctx := t.Context()
	db, err := meta.Open(ctx, filepath.Join(t.TempDir(), "meta.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := resource.Migrate(ctx, db); err != nil {
		t.Fatal(err)
	}
	box, err := secret.New(bytes.Repeat([]byte{1}, secret.KeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	store := resource.NewStore(db, box, resource.Builtin(nil)...)
	by := audit.Actor{Name: "ann"}
	create := func(kind, name, spec string) {
		t.Helper()
		o := resource.Object{APIVersion: resource.APIVersion, Kind: kind, Metadata: resource.Metadata{Name: name, Workspace: "default"}, Spec: json.RawMessage(spec)}
		if _, err := store.Create(ctx, by, o); err != nil {
			t.Fatal(err)
		}
	}
	create(resource.KindFolder, "pay", `{"title":"Payment"}`)
	create(resource.KindLogMonitor, "trades", `{"title":"Trades","type":"minute","paths":["/var/log/trade.log"],"time":{"format":"normal"}}`)
	plans := func() Plans {
		t.Helper()
		objects, err := store.List(ctx, resource.KindLogMonitor, "")
		if err != nil {
			t.Fatal(err)
		}
		var monitors []Monitor
		for _, o := range objects {
			m, err := MonitorOf(o)
			if err != nil {
				t.Fatal(err)
			}
			monitors = append(monitors, m)
		}
		p, err := Compile(monitors, []Target{{ID: "a1", Host: enroll.Host{Hostname: "h1"}, Expected: true}}, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	before := plans()
	if err := store.Move(ctx, by, resource.KindLogMonitor, "default", []string{"trades"}, "pay"); err != nil {
		t.Fatal(err)
	}
	after := plans()
	if len(after.Tasks["a1"]) != 2 || !maps.Equal(before.Hashes, after.Hashes) {
		t.Errorf("the plan was %v and is %v", before.Tasks, after.Tasks)
	}
}
