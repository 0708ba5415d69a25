package recipient

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/fielderr"
)

// Subscription is the spec of a Subscription: who is told of which alarms.
type Subscription struct {
	// Contact, Group, OnCall or Channel is the subscriber.
	Contact string `json:"contact,omitempty" yaml:"contact,omitempty" doc:"Subscriber: a Contact; or give group, oncall or channel"`
	Group   string `json:"group,omitempty" yaml:"group,omitempty" doc:"Subscriber: a NotificationGroup"`
	OnCall  string `json:"oncall,omitempty" yaml:"oncall,omitempty" doc:"Subscriber: whoever an OnCall has on duty"`
	Channel string `json:"channel,omitempty" yaml:"channel,omitempty" doc:"Subscriber: a Channel"`
	// Workspace, Folder, Monitor or Rule is the scope.
	Workspace bool   `json:"workspace,omitempty" yaml:"workspace,omitempty" doc:"Scope: all alarms of the workspace; or give folder, monitor or rule"`
	Folder    string `json:"folder,omitempty" yaml:"folder,omitempty" doc:"Scope: monitors in a Folder and below it, later ones too"`
	Monitor   string `json:"monitor,omitempty" yaml:"monitor,omitempty" doc:"Scope: a LogMonitor"`
	Rule      string `json:"rule,omitempty" yaml:"rule,omitempty" doc:"Scope: an AlarmRule"`
	// Levels that are told. Default all.
	Levels []alarmrule.Level `json:"levels,omitempty" yaml:"levels,omitempty" maxItems:"5" doc:"Levels that are told; default all"`
	// Throttle thins out the notices of an alert that goes on. Default on.
	Throttle *bool `json:"throttle,omitempty" yaml:"throttle,omitempty" doc:"Fewer and fewer notices while an alert goes on; default true"`
}

// Throttled tells whether notices of an alert that goes on are thinned out.
func (s Subscription) Throttled() bool { return s.Throttle == nil || *s.Throttle }

// Wants tells whether a level is told.
func (s Subscription) Wants(level string) bool {
	return len(s.Levels) == 0 || slices.Contains(s.Levels, alarmrule.Level(level))
}

// WithDefaults returns a copy of s with every unset field at its default.
func (s Subscription) WithDefaults() Subscription {
	if s.Throttle == nil {
		s.Throttle = new(true)
	}
	return s
}

// Subscriber is who is told: the field that is set, and its name.
func (s Subscription) Subscriber() (field, name string) {
	return only([]string{"contact", "group", "oncall", "channel"}, s.Contact, s.Group, s.OnCall, s.Channel)
}

// Scope is what s is about: the field that is set, and its name.
func (s Subscription) Scope() (field, name string) {
	if s.Workspace {
		return "workspace", ""
	}
	return only([]string{"folder", "monitor", "rule"}, s.Folder, s.Monitor, s.Rule)
}

func only(fields []string, names ...string) (field, name string) {
	for i, n := range names {
		if n != "" {
			return fields[i], n
		}
	}
	return "", ""
}

// Validate checks s after WithDefaults.
func (s Subscription) Validate(prefix string) error {
	var es fielderr.Errors
	if n := len(names(s.Contact, s.Group, s.OnCall, s.Channel)); n != 1 {
		es.Add(prefix+".contact", "bad_subscriber", "%d subscribers are given; give one of contact, group, oncall or channel", n)
	}
	scopes := names(s.Folder, s.Monitor, s.Rule)
	if s.Workspace {
		scopes = append(scopes, "workspace")
	}
	if n := len(scopes); n != 1 {
		es.Add(prefix+".workspace", "bad_scope", "%d scopes are given; give one of workspace: true, folder, monitor or rule", n)
	}
	for i, l := range s.Levels {
		if !slices.Contains([]alarmrule.Level{alarmrule.P0, alarmrule.P1, alarmrule.P2, alarmrule.P3, alarmrule.P4}, l) {
			es.Add(fmt.Sprintf("%s.levels[%d]", prefix, i), "bad_level", "%q; use P0 (worst) to P4", l)
		}
	}
	return es.Err()
}

func names(all ...string) []string {
	return slices.DeleteFunc(all, func(n string) bool { return n == "" })
}

// CheckSubscription refuses a second subscription of one subscriber to one scope.
func CheckSubscription(name string, s Subscription, others map[string]Subscription) error {
	key := func(s Subscription) string {
		who, whom := s.Subscriber()
		scope, what := s.Scope()
		return strings.ToLower(who + "\n" + whom + "\n" + scope + "\n" + what)
	}
	for other, o := range others {
		if !strings.EqualFold(other, name) && key(o) == key(s) {
			field, whom := s.Subscriber()
			return fielderr.Errors{{Field: "spec." + field, Code: "already_subscribed", Message: fmt.Sprintf("%q has this scope already, by subscription %q; change that one", whom, other)}}
		}
	}
	return nil
}
