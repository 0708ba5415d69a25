package recipient

import (
	"fmt"
	"slices"
	"time"

	"github.com/pharos-stack/pharos/internal/fielderr"
)

// OnCall is the spec of an OnCall: contacts who have duty in turn.
type OnCall struct {
	Title string `json:"title" yaml:"title" minLength:"1" maxLength:"64" doc:"Name people see"`
	// Timezone of Start and of the hand-overs.
	Timezone string `json:"timezone" yaml:"timezone" doc:"IANA time zone, such as Asia/Shanghai"`
	// Start of the first shift by the clock of Timezone.
	Start string `json:"start" yaml:"start" doc:"When the first contact's first shift begins, by the clock of timezone: 2026-01-05T09:00"`
	// Days or Hours is the length of a shift. Days are by the clock: a hand-over
	// at 09:00 stays there when the clocks change.
	Days      int        `json:"days,omitempty" yaml:"days,omitempty" minimum:"0" maximum:"56" doc:"Length of a shift in days, by the clock; 7 hands over weekly; or give hours"`
	Hours     int        `json:"hours,omitempty" yaml:"hours,omitempty" minimum:"0" maximum:"168" doc:"Length of a shift in hours"`
	Contacts  []string   `json:"contacts" yaml:"contacts" minItems:"1" maxItems:"50" doc:"Names of contacts in their order"`
	Overrides []Override `json:"overrides,omitempty" yaml:"overrides,omitempty" maxItems:"200" doc:"Periods in which another contact has duty"`
}

// Override gives the duty of a period to a contact.
type Override struct {
	Contact string    `json:"contact" yaml:"contact"`
	From    time.Time `json:"from" yaml:"from"`
	To      time.Time `json:"to" yaml:"to"`
}

// startLayout is how Start is written.
const startLayout = "2006-01-02T15:04"

// WithDefaults returns a copy of o with weekly shifts if it gives none.
func (o OnCall) WithDefaults() OnCall {
	if o.Days == 0 && o.Hours == 0 {
		o.Days = 7
	}
	return o
}

// Validate checks o after WithDefaults.
func (o OnCall) Validate(prefix string) error {
	var es fielderr.Errors
	checkTitle(&es, prefix, o.Title)
	if _, err := time.LoadLocation(o.Timezone); err != nil || o.Timezone == "" {
		es.Add(prefix+".timezone", "bad_timezone", "%q is not an IANA time zone; use a name such as Asia/Shanghai", o.Timezone)
	}
	if _, err := time.Parse(startLayout, o.Start); err != nil {
		es.Add(prefix+".start", "bad_time", "%q is no time; write it as 2026-01-05T09:00", o.Start)
	}
	switch {
	case o.Days != 0 && o.Hours != 0:
		es.Add(prefix+".hours", "bad_shift", "is %d, and days %d; give one of them", o.Hours, o.Days)
	case o.Days < 0 || o.Days > 56:
		es.Add(prefix+".days", "bad_shift", "%d; use 1 to 56", o.Days)
	case o.Hours < 0 || o.Hours > 168:
		es.Add(prefix+".hours", "bad_shift", "%d; use 1 to 168", o.Hours)
	}
	if len(o.Contacts) < 1 || len(o.Contacts) > 50 { // one may have several shifts of a round
		es.Add(prefix+".contacts", "bad_contacts", "has %d; give 1 to 50", len(o.Contacts))
	}
	if len(o.Overrides) > 200 {
		es.Add(prefix+".overrides", "too_many", "has %d; at most 200", len(o.Overrides))
	}
	for i, v := range o.Overrides {
		at := fmt.Sprintf("%s.overrides[%d]", prefix, i)
		if !v.From.Before(v.To) {
			es.Add(at+".to", "bad_period", "%s is not after from (%s)", v.To.Format(time.RFC3339), v.From.Format(time.RFC3339))
		}
		for j, other := range o.Overrides[:i] {
			if v.From.Before(other.To) && other.From.Before(v.To) {
				es.Add(at, "overlap", "overlaps overrides[%d]; one contact has duty at a time", j)
			}
		}
	}
	return es.Err()
}

// Shift is a time in which one contact has duty; an empty contact is nobody.
type Shift struct {
	Contact string    `json:"contact"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
}

// At returns who has duty at t; empty before the first shift.
func (o OnCall) At(t time.Time) string {
	for _, v := range o.Overrides {
		if !t.Before(v.From) && t.Before(v.To) {
			return v.Contact
		}
	}
	return o.regular(t).Contact
}

// regular is the shift at t without overrides. o has passed Validate.
func (o OnCall) regular(t time.Time) Shift {
	loc, err := time.LoadLocation(o.Timezone)
	if err != nil {
		return Shift{}
	}
	start, err := time.ParseInLocation(startLayout, o.Start, loc)
	if err != nil || len(o.Contacts) == 0 || o.Days <= 0 && o.Hours <= 0 {
		return Shift{}
	}
	if t.Before(start) {
		return Shift{To: start}
	}
	begin := func(n int) time.Time {
		if o.Hours > 0 {
			return start.Add(time.Duration(n*o.Hours) * time.Hour)
		}
		return start.AddDate(0, 0, n*o.Days)
	}
	length := time.Duration(o.Hours) * time.Hour
	if o.Hours == 0 {
		length = time.Duration(o.Days) * 24 * time.Hour
	}
	n := int(t.Sub(start) / length)
	for n > 0 && t.Before(begin(n)) { // clocks that changed
		n--
	}
	for !t.Before(begin(n + 1)) {
		n++
	}
	return Shift{Contact: o.Contacts[n%len(o.Contacts)], From: begin(n), To: begin(n + 1)}
}

// Shifts returns who has duty between from and to, in order and without gaps.
func (o OnCall) Shifts(from, to time.Time) []Shift {
	var out []Shift
	for t := from; t.Before(to); {
		end := o.regular(t).To
		for _, v := range o.Overrides {
			for _, edge := range []time.Time{v.From, v.To} {
				if edge.After(t) && (end.IsZero() || edge.Before(end)) {
					end = edge
				}
			}
		}
		if end.IsZero() || end.After(to) {
			end = to
		}
		who := o.At(t)
		if n := len(out); n > 0 && out[n-1].Contact == who && slices.ContainsFunc(o.Overrides, func(v Override) bool { return v.From.Equal(t) || v.To.Equal(t) }) {
			out[n-1].To = end
		} else {
			out = append(out, Shift{Contact: who, From: t, To: end})
		}
		t = end
	}
	return out
}
