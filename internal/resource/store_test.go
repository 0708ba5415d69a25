package resource

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/internal/audit"
	"github.com/pharos-stack/pharos/internal/channel"
	"github.com/pharos-stack/pharos/internal/fielderr"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/meta/metatest"
	"github.com/pharos-stack/pharos/internal/secret"
)

var ann = audit.Actor{Name: "ann", RequestID: "req_1"}

const (
	monitorSpec = `{"title":"Trades","type":"minute_multi","paths":["/var/log/trade*.log"],"time":{"format":"normal"},
		"columns":[{"name":"city","split":{"delimiter":",","index":2}}],"group_by":["city"]}`
	channelSpec = `{"title":"Ops","type":"dingtalk","dingtalk":{"url":"https://robot.example/send?access_token=tok123","secret":"SECabc"}}`
	ruleSpec    = `{"title":"Few trades","conditions":[{"monitor":"trades","op":"lt","threshold":5}],"channels":["ops"]}`
)

func object(kind, name, spec string) Object {
	return Object{APIVersion: APIVersion, Kind: kind, Metadata: Metadata{Name: name, Workspace: "default"}, Spec: json.RawMessage(spec)}
}

func newStore(t *testing.T, db *bun.DB) *Store {
	t.Helper()
	if err := Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	box, err := secret.New(bytes.Repeat([]byte{1}, secret.KeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	compile := func(s logrule.Spec) error {
		if s.Title == "uncompilable" {
			return errors.New("the pattern explodes")
		}
		return nil
	}
	return NewStore(db, box, Builtin(compile)...)
}

func TestStore(t *testing.T) {
	metatest.Each(t, func(t *testing.T, open func(*testing.T) *bun.DB) {
		for name, fn := range map[string]func(*testing.T, *Store){
			"life of a resource": life, "secrets": secretsStayInside, "references": references, "apply": apply, "concurrent updates": concurrent,
		} {
			t.Run(name, func(t *testing.T) { fn(t, newStore(t, open(t))) })
		}
	})
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func life(t *testing.T, s *Store) {
	ctx := t.Context()
	created := must[Object](t)(s.Create(ctx, ann, object(KindLogMonitor, "trades", monitorSpec)))
	if created.Metadata.Version != 1 || !strings.HasPrefix(created.Metadata.ID, "mon_") || created.Metadata.CreatedBy != "ann" {
		t.Fatalf("%+v", created.Metadata)
	}
	spec := must[logrule.Spec](t)(SpecOf[logrule.Spec](created))
	if spec.App != "default" || spec.KeyLimit != logrule.DefaultKeyLimit {
		t.Errorf("defaults are missing: %+v", spec)
	}
	if _, err := s.Create(ctx, ann, object(KindLogMonitor, "trades", monitorSpec)); !errors.Is(err, ErrNameTaken) {
		t.Errorf("a second one of the name: %v", err)
	}
	// Names compare without case; é may be one character or two.
	must[Object](t)(s.Create(ctx, ann, object(KindChannel, "Caf\u00e9", channelSpec)))
	if _, err := s.Create(ctx, ann, object(KindChannel, "CAFE\u0301", channelSpec)); !errors.Is(err, ErrNameTaken) {
		t.Errorf("a name that differs in form only: %v", err)
	}

	change := created
	change.Spec = json.RawMessage(strings.Replace(monitorSpec, "Trades", "All trades", 1))
	updated := must[Object](t)(s.Update(ctx, ann, change))
	if updated.Metadata.Version != 2 || updated.Metadata.ID != created.Metadata.ID {
		t.Errorf("%+v", updated.Metadata)
	}
	if _, err := s.Update(ctx, ann, change); !errors.Is(err, ErrVersionConflict) {
		t.Errorf("an update of an old version: %v", err)
	}
	other := change
	other.Metadata.Workspace = "other"
	if _, err := s.Update(ctx, ann, other); !errors.Is(err, ErrNotFound) {
		t.Errorf("update from another workspace: %v", err)
	}
	if err := s.Delete(ctx, ann, KindLogMonitor, "default", "trades", 1); !errors.Is(err, ErrVersionConflict) {
		t.Errorf("deletion of an old version: %v", err)
	}
	if err := s.Delete(ctx, ann, KindLogMonitor, "default", "trades", 2); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(ctx, KindLogMonitor, "default", "trades"); !errors.Is(err, ErrNotFound) {
		t.Errorf("after deletion: %v", err)
	}
	entries, total, err := audit.List(ctx, s.db, audit.Filter{Kind: KindLogMonitor}, 0, 10)
	if err != nil || total != 3 {
		t.Fatalf("%d entries, %v", total, err)
	}
	if e := entries[0]; e.Action != "delete" || e.Actor != "ann" || e.RequestID != "req_1" || !strings.Contains(e.Before, "All trades") || e.After != "" {
		t.Errorf("%+v", e)
	}
}

func secretsStayInside(t *testing.T, s *Store) {
	ctx := t.Context()
	created := must[Object](t)(s.Create(ctx, ann, object(KindChannel, "ops", channelSpec)))
	// The answer has no secret; updating with it keeps them.
	change := created
	change.Spec = json.RawMessage(strings.Replace(string(created.Spec), "Ops", "Operations", 1))
	must[Object](t)(s.Update(ctx, ann, change))
	spec := must[channel.Spec](t)(SpecOf[channel.Spec](must[Object](t)(s.Reveal(ctx, KindChannel, "default", "ops"))))
	if spec.Title != "Operations" || spec.DingTalk.Secret != "SECabc" || !strings.Contains(spec.DingTalk.URL, "tok123") {
		t.Errorf("%+v %+v", spec, spec.DingTalk)
	}
	paths := must[map[string]bool](t)(s.SecretPaths(ctx, KindChannel, "default", "ops"))
	if fmt.Sprint(paths) != "map[dingtalk.secret:true dingtalk.url:true]" {
		t.Error(paths)
	}
	mail := `{"title":"Mail","type":"mail","mail":{"host":"mail.example","port":587,"username":"u","password":"pass-word","from":"a@example.org","to":["b@example.org"]}}`
	created = must[Object](t)(s.Create(ctx, ann, object(KindChannel, "mail", mail)))
	created.Spec = json.RawMessage(strings.NewReplacer("mail.example", "mail.attacker", `,"password":"pass-word"`, "").Replace(mail))
	_, err := s.Update(ctx, ann, created)
	wantFields(t, err, "spec.mail.password secret_required")
	wantFields(t, s.Validate(ctx, created), "spec.mail.password secret_required")
	created.Spec = json.RawMessage(strings.NewReplacer("Mail", "Post", `,"password":"pass-word"`, "").Replace(mail))
	must[Object](t)(s.Update(ctx, ann, created))

	var everything strings.Builder
	for _, table := range []string{"resources", "audit_log"} {
		rows := []map[string]any{}
		if err := s.db.NewSelect().Table(table).Scan(ctx, &rows); err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			for _, v := range r {
				if b, ok := v.([]byte); ok {
					v = string(b)
				}
				fmt.Fprintln(&everything, v)
			}
		}
	}
	fmt.Fprintln(&everything, string(created.Spec))
	for _, word := range []string{"tok123", "SECabc", "pass-word", `"url"`} {
		if strings.Contains(everything.String(), word) {
			t.Errorf("%q can be seen in the database or the answer", word)
		}
	}
}

func references(t *testing.T, s *Store) {
	ctx := t.Context()
	_, err := s.Create(ctx, ann, object(KindAlarmRule, "few", ruleSpec))
	wantFields(t, err, "spec.conditions[0].monitor not_found", "spec.channels[0] not_found")
	must[Object](t)(s.Create(ctx, ann, object(KindLogMonitor, "trades", monitorSpec)))
	must[Object](t)(s.Create(ctx, ann, object(KindChannel, "ops", channelSpec)))
	_, err = s.Create(ctx, ann, object(KindAlarmRule, "few", `{"title":"x","conditions":[
		{"monitor":"trades","figure":"nope","keys":{"province":["x"]},"op":"lt","threshold":5},
		{"expr":"sum(trades:count) by (","op":"lt","threshold":5}, {"expr":"trades:count[5m]","op":"lt","threshold":5}]}`))
	wantFields(t, err, "spec.conditions[0].figure bad_figure", "spec.conditions[0].keys.province bad_filter",
		"spec.conditions[1].expr bad_expr", "spec.conditions[2].expr bad_expr")
	rule := must[Object](t)(s.Create(ctx, ann, object(KindAlarmRule, "few", ruleSpec)))
	trades := must[Object](t)(s.Get(ctx, KindLogMonitor, "default", "trades"))
	trades.Spec = json.RawMessage(`{"title":"Trades","type":"second","paths":["/a.log"],"time":{"format":"normal"}}`)
	_, err = s.Update(ctx, ann, trades)
	wantFields(t, err, "spec.type type_immutable")
	must[Object](t)(s.Create(ctx, ann, object(KindLogMonitor, "quick", string(trades.Spec))))
	rule.Spec = json.RawMessage(`{"title":"x","conditions":[{"monitor":"quick","op":"lt","threshold":5}]}`)
	_, err = s.Update(ctx, ann, rule)
	wantFields(t, err, "spec.conditions[0].monitor alarm_not_supported")
	for _, target := range [][2]string{{KindLogMonitor, "trades"}, {KindChannel, "ops"}} {
		var inUse *InUseError
		if err := s.Delete(ctx, ann, target[0], "default", target[1], 0); !errors.As(err, &inUse) || inUse.Referrers[0].Name != "few" {
			t.Errorf("deletion of %v: %v", target, err)
		}
	}
	if err := s.Delete(ctx, ann, KindAlarmRule, "default", "few", 0); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"trades", "quick"} {
		if err := s.Delete(ctx, ann, KindLogMonitor, "default", name, 0); err != nil {
			t.Fatal(err)
		}
	}
	_, err = s.Create(ctx, ann, object(KindLogMonitor, "bad", strings.Replace(monitorSpec, "Trades", "uncompilable", 1)))
	wantFields(t, err, "spec not_compilable")
	_, err = s.Create(ctx, ann, object(KindLogMonitor, "Bad Name", `{"title":"","type":"hourly","paths":["x"],"time":{"format":"normal"},"colums":[]}`))
	wantFields(t, err, "metadata.name bad_name", "spec.colums unknown_field")
}

func apply(t *testing.T, s *Store) {
	ctx := t.Context()
	all := []Object{object(KindAlarmRule, "few", ruleSpec), object(KindLogMonitor, "trades", monitorSpec), object(KindChannel, "ops", channelSpec)}
	outcomes := func(dry bool) string {
		t.Helper()
		var out []string
		for _, r := range must[[]Applied](t)(s.Apply(ctx, ann, "default", all, dry)) {
			out = append(out, fmt.Sprintf("%s %s %d", r.Name, r.Outcome, r.Version))
		}
		return strings.Join(out, ", ")
	}
	for _, step := range []struct {
		dry  bool
		want string
	}{
		{true, "few created 1, trades created 1, ops created 1"},
		{false, "few created 1, trades created 1, ops created 1"},
		{false, "few unchanged 1, trades unchanged 1, ops unchanged 1"},
	} {
		if got := outcomes(step.dry); got != step.want {
			t.Errorf("dry %v: %s, want %s", step.dry, got, step.want)
		}
	}
	all[2].Spec = json.RawMessage(strings.Replace(channelSpec, "SECabc", "SECnew", 1))
	if got := outcomes(false); got != "few unchanged 1, trades unchanged 1, ops updated 2" {
		t.Error("after a new secret: ", got)
	}
	// One bad object and nothing is kept.
	all[1].Spec = json.RawMessage(strings.Replace(monitorSpec, "Trades", "Changed", 1))
	all[0].Spec = json.RawMessage(strings.Replace(ruleSpec, `"lt"`, `"below"`, 1))
	_, err := s.Apply(ctx, ann, "default", all, false)
	wantFields(t, err, "items[0].spec.conditions[0].op bad_comparison")
	if o := must[Object](t)(s.Get(ctx, KindLogMonitor, "default", "trades")); o.Metadata.Version != 1 {
		t.Errorf("a part of a refused apply was kept: version %d", o.Metadata.Version)
	}
}

func concurrent(t *testing.T, s *Store) {
	ctx := t.Context()
	created := must[Object](t)(s.Create(ctx, ann, object(KindLogMonitor, "trades", monitorSpec)))
	const writers = 8
	var wg sync.WaitGroup
	results := make([]error, writers)
	for i := range writers {
		wg.Go(func() { _, results[i] = s.Update(context.WithoutCancel(ctx), ann, created) })
	}
	wg.Wait()
	won := 0
	for _, err := range results {
		if err == nil {
			won++
		} else if !errors.Is(err, ErrVersionConflict) {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d writers of one version won", won, writers)
	}
}

// wantFields wants err to name exactly the fields and codes, in any order.
func wantFields(t *testing.T, err error, want ...string) {
	t.Helper()
	var es fielderr.Errors
	if !errors.As(err, &es) {
		t.Errorf("got %v, want bad fields %v", err, want)
		return
	}
	got := map[string]bool{}
	for _, e := range es {
		got[e.Field+" "+e.Code] = true
	}
	for _, w := range want {
		if !got[w] {
			t.Errorf("%q is missing in %v", w, es)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v, want %v", es, want)
	}
}
