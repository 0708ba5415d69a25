// Package alarmtrial says what a trial of an alarm rule on the past is asked
// for and what comes of it. The alarm tier runs trials, the console asks for them.
package alarmtrial

import (
	"context"
	"time"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/resource"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Run makes a trial; alarm.Backtest is one.
type Run func(context.Context, Trial) (*Outcome, error)

// Limits of a trial.
const (
	// MaxSpan is the longest time that a rule is tried on.
	MaxSpan = 8 * 24 * time.Hour
	// MaxEpisodes is how many alerts are told.
	MaxEpisodes = 500
	// TracedChecks and TracedObjects bound what is told check by check.
	TracedChecks  = 60
	TracedObjects = 20
)

// Trial is a rule and the time it is tried on.
type Trial struct {
	Query     pharosv1.QueryServiceClient
	Workspace string
	// Monitors are the LogMonitor resources of the workspace.
	Monitors []resource.Object
	Spec     alarmrule.Spec
	// FromMs and ToMs bound the ends of the checks, both included.
	FromMs, ToMs int64
	// Language of messages, en or zh.
	Language string
}

// Outcome is what a rule would have done.
type Outcome struct {
	// Checks were made, of which Unknown could not be judged as a whole and
	// Failed could not read their data; Failure is the last reason.
	Checks  int    `json:"checks" doc:"Checks that were made"`
	Unknown int    `json:"unknown" doc:"Of these could not be judged, for data was missing or incomplete"`
	Failed  int    `json:"failed" doc:"Of these could not read their data"`
	Failure string `json:"failure,omitempty" doc:"Why the last of these failed"`
	// Objects that were judged at least once.
	Objects int `json:"objects" doc:"Objects that were judged, such as keys"`
	// Episodes are the alerts by time, at most MaxEpisodes of all.
	Episodes []Episode `json:"episodes" doc:"Alerts that would have been, by time, at most 500"`
	All      int       `json:"all" doc:"How many there would have been"`
	// Trace has the last TracedChecks checks.
	Trace []TracedCheck `json:"trace" doc:"The last 60 checks, with what each found"`
}

// Episode is an alert that would have been.
type Episode struct {
	// Rule is its name, in packages of several.
	Rule   string            `json:"rule,omitempty" doc:"Name of the rule, in packages of several"`
	Labels map[string]string `json:"labels"`
	// FiredMs is the check that fired; EndedMs that which recovered, 0 while it fires.
	FiredMs int64 `json:"fired_ms"`
	EndedMs int64 `json:"ended_ms,omitempty" doc:"Absent: it would fire still"`
	// TrueChecks counts checks that held, Notices the messages that would have been sent.
	TrueChecks int `json:"true_checks" doc:"Checks that held"`
	Notices    int `json:"notices" doc:"Messages that each channel would have got"`
	// Classes of channels that it reached; none: the rule tells none apart.
	Classes []string `json:"classes,omitempty" doc:"Classes of channels that it reached, where they differ"`
	// Message is that of the moment when it fired.
	Message string `json:"message"`
}

// TracedCheck is a check with what it judged.
type TracedCheck struct {
	AtMs int64 `json:"at_ms"`
	// Result is ok, firing, unknown, inactive or error.
	Result string `json:"result" enum:"ok,firing,unknown,inactive,error"`
	Detail string `json:"detail,omitempty" doc:"Why it failed"`
	// Objects are the first TracedObjects, those that hold before others.
	Objects []TracedObject `json:"objects" doc:"At most 20, those that hold first"`
	All     int            `json:"all" doc:"How many there were"`
}

// TracedObject is what a check found of an object.
type TracedObject struct {
	Rule       string                 `json:"rule,omitempty" doc:"Name of the rule, in packages of several"`
	Labels     map[string]string      `json:"labels"`
	Truth      string                 `json:"truth" enum:"true,false,unknown"`
	Firing     bool                   `json:"firing"`
	Conditions []alarmstate.Condition `json:"conditions"`
}
