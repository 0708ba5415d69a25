// Package alarmstate keeps what the alarm tier decides, in the metadata
// database: alerts, the events in their life, and the deliveries of notices.
// The alarm tier writes it, the console reads it, acknowledges and asks for
// test notices.
//
// It promises that an event and the deliveries it causes are stored in one
// transaction with the state that led to it, so that a restart neither loses
// nor repeats a decision.
package alarmstate

import (
	"context"
	"crypto/rand"
	"encoding/hex"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/internal/meta"
)

// State of an alert.
const (
	Firing    = "firing"
	Recovered = "recovered"
	Closed    = "closed" // its rule was changed, disabled or deleted, or its key expired
)

// Event types.
const (
	EventFiring       = "firing"
	EventRepeat       = "repeat"
	EventRecovered    = "recovered"
	EventClosed       = "closed"
	EventAcknowledged = "acknowledged"
	EventTest         = "test"
)

// Kinds of alerts.
const (
	KindThreshold = "threshold"
	KindNoData    = "no_data"
	KindMatch     = "match"
	KindTop       = "top"
)

// Delivery states.
const (
	Queued = "queued"
	Sent   = "sent"
	Failed = "failed" // given up; Error says why
	// Withheld notices were stopped by a filter; Reason is its name.
	Withheld = "withheld"
)

// Reasons to withhold a notice.
const (
	ReasonLevel        = "level"        // the subscription or channel is not for this level
	ReasonThrottled    = "throttled"    // the schedule of an alert that goes on
	ReasonAcknowledged = "acknowledged" // somebody takes care of it
	ReasonClass        = "class"        // the threshold of this class of channels was not reached
	ReasonSwitchedOff  = "switched_off" // by the person
	ReasonDelegated    = "delegated_to" // the person named by InsteadOf was told
	ReasonSilenced     = "silenced"     // by the silence that the event names
)

// Condition is the outcome of one condition of a rule for one object.
type Condition struct {
	// Source is the series or expression that was judged.
	Source string `json:"source"`
	// Method says how the number was made of it, over N minutes; empty: it is the current value.
	Method string `json:"method,omitempty" doc:"How the number was made; absent: the current value"`
	N      int    `json:"n,omitempty" doc:"Minutes of methods over several"`
	Op     string `json:"op"`
	// Threshold is the lowest that counts, where classes of channels have their own.
	Threshold  float64            `json:"threshold"`
	Upper      *float64           `json:"upper,omitempty" doc:"Upper bound of between and outside"`
	Thresholds map[string]float64 `json:"thresholds,omitempty" doc:"By class of channel, where they differ"`
	// Value is compared with the threshold. Methods that compare make it of Current and Base.
	Value   *float64 `json:"value" doc:"What was compared with the threshold; absent when there was no value"`
	Current *float64 `json:"current,omitempty" doc:"The value now, of methods that compare"`
	Base    *float64 `json:"base,omitempty" doc:"What it was compared with"`
	// Low and High bound what is usual, for method deviation.
	Low  *float64 `json:"low,omitempty" doc:"Lower bound of what is usual"`
	High *float64 `json:"high,omitempty" doc:"Upper bound of what is usual"`
	// Result is true, false or unknown.
	Result string `json:"result"`
	Unit   string `json:"unit,omitempty"`
	// Completeness of the window that was judged, 0 to 1.
	Completeness float64 `json:"completeness"`
	// Lines that the value counts, the first of them, of monitors of type match.
	Lines []Line `json:"lines,omitempty" doc:"The first of the lines that matched, masked"`
}

// Line is a log line that a notice carries.
type Line struct {
	Instance string `json:"instance"`
	File     string `json:"file"`
	Text     string `json:"text"`
}

// Object is the state of one object of a rule. One row for each object that
// is firing or counting towards it.
type Object struct {
	bun.BaseModel `bun:"table:alarm_objects"`
	RuleID        string            `bun:",pk"`
	Object        string            `bun:",pk"` // canonical labels
	Labels        map[string]string `bun:",type:text,notnull"`
	// Runs of checks by class of channels, "" where the rule tells none apart.
	Runs map[string]Run `bun:",type:text,notnull"`
	// Classes that the alert has reached.
	Classes  []string `bun:",type:text,notnull"`
	FalseRun int      `bun:",notnull"`
	AlertID  string   `bun:",notnull"` // empty unless firing
	// CountedMs is the check that was counted before its windows had settled.
	CountedMs    int64 `bun:",notnull"`
	LastSeenMs   int64 `bun:",notnull"` // last check with a value
	LastNoticeMs int64 `bun:",notnull"`
	// HeldBy names the silence that kept checks from being told since the last notice; empty: none did.
	HeldBy string `bun:",notnull"`
}

// Run is what checks in a row came to, unknown ones left out.
type Run struct {
	// True ones up to the last.
	True int `json:"true,omitempty"`
	// Last has a bit for each of the last ones, the newest lowest.
	Last uint64 `json:"last,omitempty"`
}

// Next is the run after one more check. of is how many Last is to tell of.
func (r Run) Next(holds bool, of int) Run {
	r.Last = r.Last << 1 & (1<<of - 1)
	if !holds {
		return Run{Last: r.Last}
	}
	return Run{True: r.True + 1, Last: (r.Last | 1) & (1<<of - 1)}
}

// Position is how far a rule has been checked.
type Position struct {
	bun.BaseModel `bun:"table:alarm_positions"`
	RuleID        string `bun:",pk"`
	CheckedMs     int64  `bun:",notnull"`
	// Result of the last check: ok, firing, unknown, inactive or error.
	Result string `bun:",notnull"`
	Detail string `bun:",notnull"`
}

// Alert is one continuous firing of a rule for one object.
type Alert struct {
	bun.BaseModel   `bun:"table:alarm_alerts"`
	ID              string            `bun:",pk" json:"id"`
	Workspace       string            `bun:",notnull" json:"workspace"`
	RuleID          string            `bun:",notnull" json:"rule_id"`
	Rule            string            `bun:",notnull" json:"rule" doc:"name of the AlarmRule"`
	Title           string            `bun:",notnull" json:"title"`
	Level           string            `bun:",notnull" json:"level"`
	State           string            `bun:",notnull" json:"state" enum:"firing,recovered,closed"`
	Labels          map[string]string `bun:",type:text,notnull" json:"object"`
	StartedMs       int64             `bun:",notnull" json:"started_ms"`
	EndedMs         int64             `bun:",notnull" json:"ended_ms" doc:"0 while firing"`
	Checks          int               `bun:",notnull" json:"checks" doc:"true checks so far"`
	Conditions      []Condition       `bun:",type:text,notnull" json:"conditions" doc:"of the last true check"`
	Message         string            `bun:",notnull" json:"message"`
	Kind            string            `bun:",notnull" json:"kind" enum:"threshold,no_data,match,top" doc:"What it is about"`
	Classes         []string          `bun:",type:text,notnull" json:"classes" doc:"Classes of channels whose thresholds were reached; none: the rule does not tell them apart"`
	StaleMs         int64             `bun:",notnull" json:"stale_ms" doc:"Since when the data does not tell whether it still holds; 0: it does"`
	AcknowledgedBy  string            `bun:",notnull" json:"acknowledged_by"`
	AcknowledgedMs  int64             `bun:",notnull" json:"acknowledged_ms"`
	AcknowledgeNote string            `bun:",notnull" json:"acknowledge_note"`
}

// Event is a moment in the life of an alert.
type Event struct {
	bun.BaseModel `bun:"table:alarm_events"`
	ID            string            `bun:",pk" json:"id"`
	AlertID       string            `bun:",notnull" json:"alert_id"`
	Workspace     string            `bun:",notnull" json:"workspace"`
	RuleID        string            `bun:",notnull" json:"rule_id"`
	Rule          string            `bun:",notnull" json:"rule"`
	Title         string            `bun:",notnull" json:"title"`
	Type          string            `bun:",notnull" json:"type" enum:"firing,repeat,recovered,closed,acknowledged,test"`
	Level         string            `bun:",notnull" json:"level"`
	Labels        map[string]string `bun:",type:text,notnull" json:"object"`
	TimeMs        int64             `bun:",notnull" json:"time_ms" doc:"end of the window that was judged"`
	StartedMs     int64             `bun:",notnull" json:"started_ms"`
	CreatedMs     int64             `bun:",notnull" json:"created_ms"`
	Sequence      int               `bun:",notnull" json:"sequence" doc:"number of the event in its alert, from 1"`
	Conditions    []Condition       `bun:",type:text,notnull" json:"conditions"`
	Completeness  float64           `bun:",notnull" json:"completeness"`
	Message       string            `bun:",notnull" json:"message"`
	Kind          string            `bun:",notnull" json:"kind" enum:"threshold,no_data,match,top,"`
	Classes       []string          `bun:",type:text,notnull" json:"classes" doc:"Classes of channels that are told; none: all"`
	Joined        []string          `bun:",type:text,notnull" json:"joined" doc:"Of these, the ones whose threshold had not been reached before"`
	EmergencyText string            `bun:",notnull" json:"emergency_text"`
	EmergencyLink string            `bun:",notnull" json:"emergency_link"`
	Join          string            `bun:",notnull" json:"join"`
	Silence       string            `bun:",notnull" json:"silence" doc:"Name of the Silence because of which nobody was told"`
	// HeldBack is of the delivery that tells the event, not stored with it.
	HeldBack int `bun:"-" json:"-"`
}

// Delivery is one notice to one channel: the outbox and its record.
type Delivery struct {
	bun.BaseModel `bun:"table:alarm_deliveries"`
	ID            string `bun:",pk" json:"id"`
	EventID       string `bun:",notnull" json:"event_id"`
	// More are further events told in the same notice: keys that fired in the same check.
	More      []string `bun:",type:text,notnull" json:"more_event_ids"`
	AlertID   string   `bun:",notnull" json:"alert_id"`
	Workspace string   `bun:",notnull" json:"workspace"`
	Channel   string   `bun:",notnull" json:"channel"`
	State     string   `bun:",notnull" json:"state" enum:"queued,sent,failed,withheld"`
	Attempts  int      `bun:",notnull" json:"attempts"`
	CreatedMs int64    `bun:",notnull" json:"created_ms"`
	NextMs    int64    `bun:",notnull" json:"next_attempt_ms"`
	SentMs    int64    `bun:",notnull" json:"sent_ms"`
	// Answer is what the receiver said to the last attempt, at most 500 bytes.
	Answer string `bun:",notnull" json:"answer"`
	Error  string `bun:",notnull" json:"error"`
	// Targets take the place of the channel's own recipients: those of Contact.
	// They are not shown: numbers and addresses are for those who may edit contacts.
	Targets      []string `bun:",type:text,notnull" json:"-"`
	Contact      string   `bun:",notnull" json:"contact" doc:"Whom it was for; empty for the channel's own recipients"`
	InsteadOf    string   `bun:",notnull" json:"instead_of" doc:"The contact for whom this one stands in; of a delegated notice, who was told instead"`
	Subscription string   `bun:",notnull" json:"subscription" doc:"Name of the subscription that led to it"`
	Reason       string   `bun:",notnull" json:"reason" enum:"level,throttled,acknowledged,class,switched_off,delegated_to,silenced," doc:"Which filter withheld it"`
	HeldBack     int      `bun:",notnull" json:"held_back" doc:"True checks since the notice before, not told"`
}

// Migrations of the alarm tables.
var Migrations = []meta.Migration{
	meta.CreateTables("alarm tables", (*Object)(nil), (*Position)(nil), (*Alert)(nil), (*Event)(nil), (*Delivery)(nil)),
	{Name: "alarm indexes", Up: func(ctx context.Context, db bun.IDB) error {
		for _, ddl := range []string{
			"CREATE INDEX alarm_alerts_state ON alarm_alerts (workspace, state, started_ms)",
			"CREATE INDEX alarm_events_time ON alarm_events (workspace, time_ms)",
			"CREATE INDEX alarm_deliveries_due ON alarm_deliveries (state, next_ms)",
			"CREATE INDEX alarm_deliveries_time ON alarm_deliveries (workspace, created_ms)",
		} {
			if _, err := db.ExecContext(ctx, ddl); err != nil {
				return err
			}
		}
		return nil
	}},
	meta.Columns("objects by class", "alarm_objects", []meta.Column{{Name: "runs", Type: meta.MapColumn}, {Name: "classes", Type: meta.ListColumn}, {Name: "counted_ms", Type: meta.IntegerColumn}},
		[]meta.Column{{Name: "true_run"}}),
	meta.Columns("alerts by class", "alarm_alerts", []meta.Column{{Name: "kind", Type: meta.TextColumn}, {Name: "classes", Type: meta.ListColumn}, {Name: "stale_ms", Type: meta.IntegerColumn}}, nil),
	meta.Columns("deliveries to contacts", "alarm_deliveries", []meta.Column{{Name: "targets", Type: meta.ListColumn}, {Name: "contact", Type: meta.TextColumn},
		{Name: "instead_of", Type: meta.TextColumn}, {Name: "subscription", Type: meta.TextColumn}, {Name: "reason", Type: meta.TextColumn},
		{Name: "held_back", Type: meta.IntegerColumn}}, nil),
	meta.Columns("silenced objects", "alarm_objects", []meta.Column{{Name: "held_by", Type: meta.TextColumn}}, nil),
	meta.Columns("silenced events", "alarm_events", []meta.Column{{Name: "silence", Type: meta.TextColumn}}, nil),
	meta.Columns("events by class", "alarm_events", []meta.Column{{Name: "kind", Type: meta.TextColumn}, {Name: "classes", Type: meta.ListColumn}, {Name: "joined", Type: meta.ListColumn}}, nil),
}

// NewID returns an opaque id with the prefix.
func NewID(prefix string) string {
	var b [12]byte
	rand.Read(b[:]) // never fails
	return prefix + hex.EncodeToString(b[:])
}
