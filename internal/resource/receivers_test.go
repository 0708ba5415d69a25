package resource

import (
	"errors"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/internal/audit"
	"github.com/pharos-stack/pharos/internal/fielderr"
	"github.com/pharos-stack/pharos/internal/meta/metatest"
)

func TestReceivers(t *testing.T) {
	metatest.Each(t, func(t *testing.T, open func(*testing.T) *bun.DB) {
		s := newStore(t, open(t))
		put := func(kind, name, spec string) error {
			_, err := s.Create(t.Context(), ann, object(kind, name, spec))
			return err
		}
		for _, o := range [][3]string{
			{KindLogMonitor, "trades", monitorSpec}, {KindChannel, "ops", channelSpec}, {KindAlarmRule, "few", ruleSpec},
			{KindContact, "ann", `{"phone":"+86 138 0013 8000","email":"ann@x.example"}`}, {KindContact, "李雷", `{"email":"li@x.example"}`},
			{KindGroup, "night", `{"title":"Night","contacts":["Ann","李雷"],"channels":["ops"]}`},
			{KindOnCall, "duty", `{"title":"Duty","timezone":"UTC","start":"2026-01-05T09:00","contacts":["李雷"]}`},
			{KindSubscription, "s1", `{"group":"night","monitor":"trades","levels":["P0","P1"]}`},
			{KindSubscription, "s2", `{"contact":"ann","workspace":true}`},
			{KindSubscription, "s3", `{"channel":"ops","rule":"few"}`},
		} {
			if err := put(o[0], o[1], o[2]); err != nil {
				t.Fatalf("%s: %v", o[1], err)
			}
		}
		for _, c := range []struct{ kind, name, spec, code string }{
			{KindContact, "1ann", `{"phone":"+8613800138001"}`, "contact_name_invalid"},
			{KindContact, "bob", `{}`, "phone_or_email_required"},
			{KindContact, "bob", `{"phone":"008613800138000"}`, "phone_taken"},
			{KindContact, "bob", `{"email":"ANN@x.example"}`, "email_taken"},
			{KindGroup, "g", `{"title":"g","contacts":["nobody"]}`, "not_found"},
			{KindSubscription, "s4", `{"contact":"Ann","workspace":true}`, "already_subscribed"},
			{KindChannel, "c", strings.Replace(channelSpec, `"type"`, `"for_contacts":true,"type"`, 1), "not_allowed"},
		} {
			var es fielderr.Errors
			if err := put(c.kind, c.name, c.spec); !errors.As(err, &es) || len(es) != 1 || es[0].Code != c.code {
				t.Errorf("%s %s: %v, want %s", c.kind, c.spec, err, c.code)
			}
		}
		if err := s.Delete(t.Context(), ann, KindContact, "default", "ann", 0); err != nil {
			t.Fatal(err)
		}
		g, err := s.Get(t.Context(), KindGroup, "default", "night")
		if err != nil || !strings.Contains(string(g.Spec), `"contacts":["李雷"]`) || g.Metadata.Version != 2 {
			t.Fatalf("the group is %s, %v", g.Spec, err)
		}
		if got := left(t, s); got != "s1 s3" {
			t.Fatalf("subscriptions %s are left", got)
		}
		var used *InUseError
		if err := s.Delete(t.Context(), ann, KindContact, "default", "李雷", 0); !errors.As(err, &used) || used.Referrers[0].Kind != KindOnCall {
			t.Fatalf("a contact of a rotation was deleted: %v", err)
		}
		if err := s.Delete(t.Context(), ann, KindChannel, "default", "ops", 0); !errors.As(err, &used) {
			t.Fatal(err)
		}
		if got := left(t, s); got != "s1 s3" { // a refused deletion leaves all as it was
			t.Fatalf("subscriptions %s are left", got)
		}
		if err := s.Delete(t.Context(), ann, KindGroup, "default", "night", 0); err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(t.Context(), audit.Actor{Name: "bob"}, KindAlarmRule, "default", "few", 0); err != nil {
			t.Fatal(err)
		}
		if got := left(t, s); got != "" {
			t.Fatalf("subscriptions %s are left", got)
		}
	})
}

func left(t *testing.T, s *Store) string {
	list, err := s.List(t.Context(), KindSubscription, "default")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, o := range list {
		names = append(names, o.Metadata.Name)
	}
	return strings.Join(names, " ")
}
