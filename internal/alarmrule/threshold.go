package alarmrule

import (
	"fmt"
	"math"
	"slices"

	"github.com/pharos-stack/pharos/internal/fielderr"
)

// Class of channels that share a threshold (spec 05, §10.3.3).
type Class string

// The classes.
const (
	Chat    Class = "chat"
	SMS     Class = "sms"
	Phone   Class = "phone"
	Email   Class = "email"
	Webhook Class = "webhook"
	Plan    Class = "plan"
)

// Classes are all classes.
func Classes() []Class { return []Class{Chat, SMS, Phone, Email, Webhook, Plan} }

// Thresholds of a condition by class. A class without one follows another:
// email and webhook follow chat, or sms when chat is empty; phone follows sms.
type Thresholds struct {
	Chat    *float64 `json:"chat,omitempty" yaml:"chat,omitempty"`
	SMS     *float64 `json:"sms,omitempty" yaml:"sms,omitempty"`
	Phone   *float64 `json:"phone,omitempty" yaml:"phone,omitempty" doc:"Default that of sms"`
	Email   *float64 `json:"email,omitempty" yaml:"email,omitempty" doc:"Default that of chat, or of sms"`
	Webhook *float64 `json:"webhook,omitempty" yaml:"webhook,omitempty" doc:"Default that of chat, or of sms"`
	Plan    *float64 `json:"plan,omitempty" yaml:"plan,omitempty" doc:"Emergency plan"`
}

func (t Thresholds) of(c Class) *float64 {
	first := func(list ...*float64) *float64 {
		if i := slices.IndexFunc(list, func(v *float64) bool { return v != nil }); i >= 0 {
			return list[i]
		}
		return nil
	}
	switch c {
	case Chat:
		return t.Chat
	case SMS:
		return t.SMS
	case Phone:
		return first(t.Phone, t.SMS)
	case Email:
		return first(t.Email, t.Chat, t.SMS)
	case Webhook:
		return first(t.Webhook, t.Chat, t.SMS)
	case Plan:
		return t.Plan
	}
	return nil
}

// Limit is the threshold of c for a class; ok is false when the condition
// never reaches the class. A single threshold is that of every class.
func (c Condition) Limit(class Class) (limit float64, ok bool) {
	if c.Thresholds == nil {
		if c.Threshold == nil {
			return 0, false
		}
		return *c.Threshold, true
	}
	if v := c.Thresholds.of(class); v != nil {
		return *v, true
	}
	return 0, false
}

// UpperLimit is the second bound of between and outside, else 0.
func (c Condition) UpperLimit() float64 {
	if c.Upper == nil {
		return 0
	}
	return *c.Upper
}

// Classes that conditions tell apart; nil when all share every threshold: then
// what holds for one class holds for all.
func ClassesOf(conditions []Condition, join Join) []Class {
	if !slices.ContainsFunc(conditions, func(c Condition) bool { return c.Thresholds != nil }) {
		return nil
	}
	var out []Class
	for _, class := range Classes() {
		reached := 0
		for _, c := range conditions {
			if _, ok := c.Limit(class); ok {
				reached++
			}
		}
		if reached == len(conditions) || join == Any && reached > 0 {
			out = append(out, class)
		}
	}
	return out
}

func (c Condition) validateThreshold(at func(string) string, es *fielderr.Errors) {
	finite := func(field string, v *float64) {
		if v == nil {
			return
		}
		if math.IsNaN(*v) || math.IsInf(*v, 0) {
			es.Add(at(field), "bad_threshold", "%v is not a finite number", *v)
		} else if *v < 0 && c.Op.Percent() {
			es.Add(at(field), "bad_threshold", "%v; a percentage of change is 0 or more: use fall_ for less", *v)
		}
	}
	finite("threshold", c.Threshold)
	finite("upper", c.Upper)
	finite("min_current", c.MinCurrent)
	finite("min_base", c.MinBase)
	switch {
	case c.Thresholds != nil && c.Threshold != nil:
		es.Add(at("thresholds"), "bad_threshold", "give either threshold or thresholds")
	case c.Thresholds == nil && c.Threshold == nil:
		es.Add(at("threshold"), "threshold_required", "give the number to compare with, or thresholds by class of channel")
	case c.Thresholds != nil && *c.Thresholds == Thresholds{}:
		es.Add(at("thresholds"), "threshold_required", "give at least one of chat, sms, phone, email, webhook or plan")
	}
	if c.Op.Ranges() {
		if c.Thresholds != nil || c.Upper == nil || c.Threshold != nil && c.Upper != nil && *c.Upper < *c.Threshold {
			es.Add(at("upper"), "bad_threshold", "%s needs threshold and upper, the upper not below: they are the same for all channels", c.Op)
		}
	} else if c.Upper != nil {
		es.Add(at("upper"), "bad_threshold", "belongs to between and outside; leave it out")
	}
	if t := c.Thresholds; t != nil {
		for field, v := range map[string]*float64{"chat": t.Chat, "sms": t.SMS, "phone": t.Phone, "email": t.Email, "webhook": t.Webhook, "plan": t.Plan} {
			finite("thresholds."+field, v)
		}
	}
}

// validateClasses refuses rules that a class can't reach for one condition
// alone lacks its threshold (ALM-8).
func (r Rule) validateClasses(prefix string, es *fielderr.Errors) {
	if r.Join != All {
		return
	}
	for _, class := range Classes() {
		with, without := -1, -1
		for i, c := range r.Conditions {
			if c.Thresholds == nil {
				continue // a single threshold is every class's
			}
			if _, ok := c.Limit(class); ok {
				with = i
			} else {
				without = i
			}
		}
		if with >= 0 && without >= 0 {
			es.Add(fmt.Sprintf("%s[%d].thresholds.%s", prefix, without, class), "channel_threshold_missing",
				"condition %d has a threshold for %s and this has none, so that %s could never be reached; give one, or take the other away", with+1, class, class)
		}
	}
}
