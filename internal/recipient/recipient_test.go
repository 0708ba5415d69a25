package recipient

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/fielderr"
)

func codes(err error) string {
	var es fielderr.Errors
	errors.As(err, &es)
	var out []string
	for _, e := range es {
		out = append(out, e.Field+" "+e.Code)
	}
	return strings.Join(out, ", ")
}

func TestContacts(t *testing.T) {
	for name, want := range map[string]bool{"李雷": true, "ann.b_2": true, "A1": true, strings.Repeat("a", 40): true,
		"a": false, strings.Repeat("a", 41): false, "1a": false, "a b": false, "_a": false, "a-b": false} {
		if ContactNames.MatchString(name) != want {
			t.Errorf("%q: allowed is not %v", name, want)
		}
	}
	for _, c := range []struct {
		in   Contact
		want string
	}{
		{Contact{}, "spec.phone phone_or_email_required"},
		{Contact{Phone: "+86 138-0013-8000"}, ""},
		{Contact{Phone: "0086 (138) 0013 8000"}, ""},
		{Contact{Phone: "13800138000"}, "spec.phone bad_phone"},
		{Contact{Email: "a@b.example"}, ""},
		{Contact{Email: "Ann <a@b.example>"}, "spec.email bad_address"},
	} {
		if got := codes(c.in.WithDefaults().Validate("spec")); got != c.want {
			t.Errorf("%+v: %s, want %s", c.in, got, c.want)
		}
	}
	others := map[string]Contact{"ann": {Phone: "+8613800138000", Email: "Ann@b.example"}}
	if got := codes(CheckContact("bob", Contact{Phone: "+8613800138000"}, others)); got != "spec.phone phone_taken" {
		t.Error(got)
	}
	if got := codes(CheckContact("bob", Contact{Email: "ann@B.example"}, others)); got != "spec.email email_taken" {
		t.Error(got)
	}
	if got := codes(CheckContact("Ann", Contact{Phone: "+8613800138000", Email: "ann@b.example"}, others)); got != "" {
		t.Error(got)
	}
}

func TestWhoHasDuty(t *testing.T) {
	weekly := OnCall{Title: "t", Timezone: "Europe/Berlin", Start: "2026-03-23T09:00", Days: 7, Contacts: []string{"ann", "bob"}}
	daily := OnCall{Title: "t", Timezone: "America/New_York", Start: "2026-10-30T09:00", Days: 1, Contacts: []string{"ann", "bob", "cy"}}
	hours := OnCall{Title: "t", Timezone: "Europe/Berlin", Start: "2026-03-28T20:00", Hours: 12, Contacts: []string{"ann", "bob"}}
	covered := weekly
	covered.Overrides = []Override{{Contact: "cy", From: at("2026-03-25T00:00:00Z"), To: at("2026-03-26T00:00:00Z")}}
	for _, c := range []struct {
		of      OnCall
		t, want string
	}{
		{weekly, "2026-03-23T07:59:59Z", ""}, // 08:59:59 in winter
		{weekly, "2026-03-23T08:00:00Z", "ann"},
		{weekly, "2026-03-30T06:59:59Z", "ann"}, // summer since the 29th: 09:00 is 07:00Z
		{weekly, "2026-03-30T07:00:00Z", "bob"},
		{weekly, "2026-04-06T07:00:00Z", "ann"},
		{weekly, "2026-11-02T08:00:00Z", "ann"}, // winter again; 32 shifts later
		{weekly, "2026-11-02T07:59:59Z", "bob"},
		{daily, "2026-11-01T12:59:59Z", "bob"}, // 2 Nov 1 clocks go back: 09:00 is 14:00Z
		{daily, "2026-11-01T13:59:59Z", "bob"},
		{daily, "2026-11-01T14:00:00Z", "cy"},
		{hours, "2026-03-29T06:59:59Z", "ann"}, // twelve hours are twelve hours
		{hours, "2026-03-29T07:00:00Z", "bob"},
		{covered, "2026-03-24T23:59:59Z", "ann"},
		{covered, "2026-03-25T00:00:00Z", "cy"},
		{covered, "2026-03-26T00:00:00Z", "ann"},
	} {
		if got := c.of.At(at(c.t)); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.of.Timezone, c.t, got, c.want)
		}
	}
	var strip []string
	for _, s := range covered.Shifts(at("2026-03-22T00:00:00Z"), at("2026-04-01T00:00:00Z")) {
		strip = append(strip, s.Contact+" "+s.From.UTC().Format("01-02T15"))
	}
	if got := strings.Join(strip, ", "); got != " 03-22T00, ann 03-23T08, cy 03-25T00, ann 03-26T00, bob 03-30T07" {
		t.Error(got)
	}
	covered.Overrides = append(covered.Overrides, Override{Contact: "x", From: at("2026-03-25T12:00:00Z"), To: at("2026-03-25T11:00:00Z")})
	covered.Timezone, covered.Start, covered.Hours = "Mars", "9", 3
	if got := codes(covered.Validate("spec")); !strings.Contains(got, "spec.timezone bad_timezone, spec.start bad_time, spec.hours bad_shift, spec.overrides[1].to bad_period") {
		t.Error(got)
	}
}

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestSubscriptions(t *testing.T) {
	for _, c := range []struct {
		s    Subscription
		want string
	}{
		{Subscription{Contact: "ann", Workspace: true}, ""},
		{Subscription{Workspace: true}, "spec.contact bad_subscriber"},
		{Subscription{Contact: "ann", Group: "ops", Folder: "f", Monitor: "m"}, "spec.contact bad_subscriber, spec.workspace bad_scope"},
		{Subscription{Contact: "ann", Rule: "r", Levels: []alarmrule.Level{"P0", "P9"}}, "spec.levels[1] bad_level"},
	} {
		if got := codes(c.s.WithDefaults().Validate("spec")); got != c.want {
			t.Errorf("%+v: %s, want %s", c.s, got, c.want)
		}
	}
	others := map[string]Subscription{"s1": {Group: "ops", Folder: "f"}}
	if got := codes(CheckSubscription("s2", Subscription{Group: "Ops", Folder: "f"}, others)); got != "spec.group already_subscribed" {
		t.Error(got)
	}
	if err := CheckSubscription("s2", Subscription{Group: "ops", Monitor: "f"}, others); err != nil {
		t.Error(err)
	}
}
