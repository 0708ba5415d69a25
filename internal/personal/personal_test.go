package personal

import (
	"errors"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/internal/fielderr"
	"github.com/pharos-stack/pharos/internal/meta/metatest"
)

func TestPersonal(t *testing.T) {
	metatest.Each(t, func(t *testing.T, open func(*testing.T) *bun.DB) {
		db := open(t)
		if err := Migrate(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		if s, err := Load(t.Context(), db, "ann"); err != nil || !s.Wants("P0", "sms") {
			t.Fatal(s, err)
		}
		for range 2 {
			if err := Save(t.Context(), db, "ann", Settings{Off: map[string][]string{"normal": {"sms"}}}); err != nil {
				t.Fatal(err)
			}
		}
		if s, err := Load(t.Context(), db, "ann"); err != nil || s.Wants("P3", "sms") || !s.Wants("P1", "sms") || !s.Wants("P3", "email") {
			t.Fatal(s, err)
		}
		if err := Save(t.Context(), db, "ann", Settings{Off: map[string][]string{"blue": {"fax"}}}); err == nil {
			t.Fatal("stored a colour that there is not")
		}
		day := (24 * time.Hour).Milliseconds()
		for _, c := range []struct {
			d    Delegation
			code string
		}{
			{Delegation{ID: "1", User: "ann", Substitute: "bob", FromMs: day, ToMs: 91 * day}, ""},
			{Delegation{ID: "2", User: "ann", Substitute: "cy", FromMs: 90 * day, ToMs: 92 * day}, "overlap"},
			{Delegation{ID: "3", User: "ann", Substitute: "cy", FromMs: 91 * day, ToMs: 92 * day}, ""},
			{Delegation{ID: "4", User: "bob", Substitute: "cy", FromMs: day, ToMs: 2 * day}, ""},
			{Delegation{ID: "5", User: "cy", Substitute: "cy", FromMs: day, ToMs: 2 * day}, "bad_substitute"},
			{Delegation{ID: "6", User: "cy", Substitute: "ann", FromMs: day, ToMs: 92 * day}, "bad_period"},
		} {
			err := Delegate(t.Context(), db, c.d)
			var es fielderr.Errors
			if errors.As(err, &es); c.code == "" && err != nil || c.code != "" && (len(es) != 1 || es[0].Code != c.code) {
				t.Errorf("%+v: %v, want %s", c.d, err, c.code)
			}
		}
		for ms, want := range map[int64]string{day - 1: "", day: "bob", 91*day - 1: "bob", 91 * day: "cy", 92 * day: ""} {
			if got, err := Substitute(t.Context(), db, "ann", ms); got != want || err != nil {
				t.Errorf("at %d: %q, %v, want %q", ms, got, err, want)
			}
		}
		if gone, err := Undelegate(t.Context(), db, "bob", "1"); gone || err != nil {
			t.Fatal("removed another account's delegation", err)
		}
		if gone, err := Undelegate(t.Context(), db, "ann", "1"); !gone || err != nil {
			t.Fatal(gone, err)
		}
	})
}
