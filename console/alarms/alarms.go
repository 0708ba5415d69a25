// Package alarms answers the routes of alarm rules, channels, alerts and what
// became of them. It decides nothing itself: the alarm tier does.
package alarms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/alarmtrial"
	"github.com/pharos-stack/pharos/internal/channel"
	"github.com/pharos-stack/pharos/internal/resource"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Options of Alarms.
type Options struct {
	DB        *bun.DB
	Resources *resource.Store
	Query     pharosv1.QueryServiceClient
	Clock     func() time.Time
	// Try tries rules on the past.
	Try alarmtrial.Run
}

// Alarms answers the routes.
type Alarms struct{ Options }

// New returns Alarms; the tables of alarmstate must be there.
func New(o Options) *Alarms { return &Alarms{o} }

// Rule is an alarm rule with its state.
type Rule struct {
	api.Meta
	Spec   alarmrule.Spec `json:"spec"`
	Status RuleStatus     `json:"status"`
}

// RuleStatus tells how a rule stands.
type RuleStatus struct {
	State     string `json:"state" enum:"ok,firing,unknown,error,inactive,disabled" doc:"unknown: not checked yet, or the data is missing; inactive: outside its effective time"`
	Alerts    int    `json:"alerts" doc:"Alerts firing now"`
	CheckedMs int64  `json:"checked_ms" doc:"Time up to which the rule was checked; 0: never"`
	Detail    string `json:"detail"`
}

// RuleInput is what a client sends.
type RuleInput struct {
	Name    string         `json:"name,omitempty" doc:"For good: a letter or digit, then letters, digits, dots, hyphens or underscores, at most 63"`
	Version int64          `json:"version,omitempty" doc:"Required for an update"`
	Spec    alarmrule.Spec `json:"spec"`
}

type ruleBody struct{ Body Rule }

// One names a resource of a workspace.
type One struct {
	api.InWorkspace
	Name string `path:"name"`
}

type ruleListIn struct {
	api.InWorkspace
	api.ListParams
	Level   string `query:"level" enum:"P0,P1,P2,P3,P4,"`
	State   string `query:"state" enum:"ok,firing,unknown,error,inactive,disabled,"`
	Monitor string `query:"monitor" doc:"Only rules on this monitor"`
}
type ruleListOut struct{ Body api.Page[Rule] }
type ruleCreateIn struct {
	api.InWorkspace
	Body api.Definition[RuleInput]
}
type ruleUpdateIn struct {
	One
	Body api.Definition[RuleInput]
}
type deleteIn struct {
	One
	Version int64 `query:"version" doc:"Delete only this version"`
}

// Routes registers the routes.
func (a *Alarms) Routes(r *api.API) {
	const all = "/api/v1/workspaces/{workspace}/alarm_rules"
	const item = all + "/{name}"
	api.Route(r, "listAlarmRules", "GET", all, api.NeedViewer, "List alarm rules", a.listRules)
	api.Route(r, "createAlarmRule", "POST", all, api.NeedEditor, "Create an alarm rule", a.createRule, api.OwnValidation, api.Status(http.StatusCreated))
	api.Route(r, "validateAlarmRule", "POST", all+":validate", api.NeedEditor, "Check a definition without saving it", a.validateRule, api.OwnValidation, api.Status(http.StatusNoContent))
	api.Route(r, "backtestAlarmRule", "POST", all+":backtest", api.NeedEditor, "Try a rule on the past, without saving it", a.backtest)
	api.Route(r, "getAlarmRule", "GET", item, api.NeedViewer, "Read an alarm rule", a.getRule)
	api.Route(r, "updateAlarmRule", "PUT", item, api.NeedEditor, "Update an alarm rule", a.updateRule, api.OwnValidation)
	api.Route(r, "deleteAlarmRule", "DELETE", item, api.NeedEditor, "Delete an alarm rule", a.deleteRule, api.Status(http.StatusNoContent))
	api.Route(r, "enableAlarmRule", "POST", item+":enable", api.NeedEditor, "Start checking", a.enableRule)
	api.Route(r, "disableAlarmRule", "POST", item+":disable", api.NeedEditor, "Stop checking", a.disableRule)
	a.channelRoutes(r)
	a.historyRoutes(r)
}

// rules turns stored rules into rows with their state.
func (a *Alarms) rules(ctx context.Context, workspace string, objects []resource.Object) ([]Rule, error) {
	parts, err := alarmstate.Positions(ctx, a.DB)
	if err != nil {
		return nil, err
	}
	positions := byPackage(parts)
	firing := map[string]int{}
	var counts []struct {
		RuleID string
		Count  int
	}
	err = a.DB.NewSelect().Model((*alarmstate.Alert)(nil)).ColumnExpr("rule_id, count(*) AS count").
		Where("workspace = ? AND state = ?", workspace, alarmstate.Firing).Group("rule_id").Scan(ctx, &counts)
	if err != nil {
		return nil, fmt.Errorf("cannot count alerts: %w", err)
	}
	for _, c := range counts {
		id, _, _ := strings.Cut(c.RuleID, "/") // a package of several has an id for each
		firing[id] += c.Count
	}
	rows := make([]Rule, len(objects))
	for i, o := range objects {
		spec, err := resource.SpecOf[alarmrule.Spec](o)
		if err != nil {
			return nil, err
		}
		rows[i] = Rule{Meta: api.MetaOf(o), Spec: spec, Status: ruleStatus(spec, positions[o.Metadata.ID], firing[o.Metadata.ID])}
	}
	return rows, nil
}

// results of checks, what people must know first.
var results = []string{"error", "firing", "unknown", "ok", "inactive"}

// byPackage is how far each package was checked: its rules may have ids of
// their own below its own.
func byPackage(positions map[string]alarmstate.Position) map[string]alarmstate.Position {
	out := make(map[string]alarmstate.Position, len(positions))
	for ruleID, p := range positions {
		id, _, _ := strings.Cut(ruleID, "/")
		known, ok := out[id]
		if ok && slices.Index(results, p.Result) > slices.Index(results, known.Result) {
			known, p = p, known
		}
		p.CheckedMs = max(p.CheckedMs, known.CheckedMs)
		out[id] = p
	}
	return out
}

func ruleStatus(spec alarmrule.Spec, p alarmstate.Position, firing int) RuleStatus {
	s := RuleStatus{State: p.Result, Alerts: firing, CheckedMs: p.CheckedMs, Detail: p.Detail}
	switch {
	case spec.Disabled:
		s.State = "disabled"
	case firing > 0:
		s.State = "firing"
	case s.State == "":
		s.State = "unknown"
	}
	return s
}

func (a *Alarms) listRules(ctx context.Context, in *ruleListIn) (*ruleListOut, error) {
	objects, err := a.Resources.List(ctx, resource.KindAlarmRule, in.Workspace)
	if err != nil {
		return nil, err
	}
	all, err := a.rules(ctx, in.Workspace, objects)
	if err != nil {
		return nil, err
	}
	var rows []Rule
	for _, r := range all {
		onMonitor := in.Monitor == ""
		for _, c := range r.Spec.Each("spec") {
			onMonitor = onMonitor || c.Monitor == in.Monitor
		}
		if onMonitor && (in.Level == "" || string(r.Spec.Level) == in.Level) && (in.State == "" || r.Status.State == in.State) {
			rows = append(rows, r)
		}
	}
	page, err := api.Paginate(rows, in.ListParams, func(r Rule) string { return r.Name + " " + r.Spec.Title + " " + r.Spec.Description }, api.Columns[Rule]{
		"name": api.By(func(r Rule) string { return r.Name }), "title": api.By(func(r Rule) string { return r.Spec.Title }),
		"level": api.By(func(r Rule) string { return string(r.Spec.Level) }), "state": api.By(func(r Rule) string { return r.Status.State }),
		"alerts":     api.By(func(r Rule) int { return r.Status.Alerts }),
		"created_at": api.By(func(r Rule) int64 { return r.CreatedAt.UnixMilli() }), "updated_at": api.By(func(r Rule) int64 { return r.UpdatedAt.UnixMilli() }),
	})
	return &ruleListOut{Body: page}, err
}

func (a *Alarms) answerRule(ctx context.Context, o resource.Object, err error) (*ruleBody, error) {
	if err != nil {
		return nil, err
	}
	rows, err := a.rules(ctx, o.Metadata.Workspace, []resource.Object{o})
	if err != nil {
		return nil, err
	}
	return &ruleBody{Body: rows[0]}, nil
}

func (a *Alarms) getRule(ctx context.Context, in *One) (*ruleBody, error) {
	o, err := a.Resources.Get(ctx, resource.KindAlarmRule, in.Workspace, in.Name)
	return a.answerRule(ctx, o, err)
}

func (a *Alarms) createRule(ctx context.Context, in *ruleCreateIn) (*ruleBody, error) {
	o, err := in.Body.Object(resource.KindAlarmRule, in.Workspace, "")
	if err != nil {
		return nil, err
	}
	o, err = a.Resources.Create(ctx, api.Actor(ctx), o)
	return a.answerRule(ctx, o, err)
}

func (a *Alarms) validateRule(ctx context.Context, in *ruleCreateIn) (*struct{}, error) {
	o, err := in.Body.Object(resource.KindAlarmRule, in.Workspace, "")
	if err != nil {
		return nil, err
	}
	return nil, a.Resources.Validate(ctx, o)
}

func (a *Alarms) updateRule(ctx context.Context, in *ruleUpdateIn) (*ruleBody, error) {
	o, err := in.Body.Updated(resource.KindAlarmRule, in.Workspace, in.Name)
	if err != nil {
		return nil, err
	}
	o, err = a.Resources.Update(ctx, api.Actor(ctx), o)
	return a.answerRule(ctx, o, err)
}

func (a *Alarms) deleteRule(ctx context.Context, in *deleteIn) (*struct{}, error) {
	return nil, a.Resources.Delete(ctx, api.Actor(ctx), resource.KindAlarmRule, in.Workspace, in.Name, in.Version)
}

func (a *Alarms) enableRule(ctx context.Context, in *One) (*ruleBody, error) {
	return a.setDisabled(ctx, in, false)
}

func (a *Alarms) disableRule(ctx context.Context, in *One) (*ruleBody, error) {
	return a.setDisabled(ctx, in, true)
}

func (a *Alarms) setDisabled(ctx context.Context, in *One, disabled bool) (*ruleBody, error) {
	o, err := a.Resources.Get(ctx, resource.KindAlarmRule, in.Workspace, in.Name)
	if err != nil {
		return nil, err
	}
	spec, err := resource.SpecOf[alarmrule.Spec](o)
	if err != nil {
		return nil, err
	}
	if spec.Disabled != disabled {
		spec.Disabled = disabled
		if o.Spec, err = json.Marshal(spec); err != nil {
			return nil, fmt.Errorf("cannot write spec: %w", err)
		}
		o, err = a.Resources.Update(ctx, api.Actor(ctx), o)
	}
	return a.answerRule(ctx, o, err)
}

type alertListIn struct {
	api.InWorkspace
	api.ListParams
	State string `query:"state" enum:"firing,recovered,closed,"`
	Level string `query:"level" enum:"P0,P1,P2,P3,P4,"`
	Rule  string `query:"rule" doc:"Name of the rule"`
}
type alertListOut struct {
	Body api.Page[alarmstate.Alert]
}
type eventListIn struct {
	api.InWorkspace
	api.ListParams
	Rule    string `query:"rule" doc:"Name of the rule"`
	Level   string `query:"level" enum:"P0,P1,P2,P3,P4,"`
	Type    string `query:"type" enum:"firing,repeat,recovered,closed,acknowledged,test,"`
	AlertID string `query:"alert_id"`
	Start   int64  `query:"start" minimum:"0" doc:"Unix milliseconds"`
	End     int64  `query:"end" minimum:"0" doc:"Unix milliseconds"`
}
type eventListOut struct {
	Body api.Page[alarmstate.Event]
}
type deliveryListIn struct {
	api.InWorkspace
	api.ListParams
	Channel string `query:"channel" doc:"Name of the channel"`
	State   string `query:"state" enum:"queued,sent,failed,withheld,"`
	EventID string `query:"event_id"`
}
type deliveryListOut struct {
	Body api.Page[alarmstate.Delivery]
}
type deliveryIn struct {
	api.InWorkspace
	ID string `path:"id"`
}
type acknowledgeIn struct {
	api.InWorkspace
	ID   string `path:"id"`
	Body struct {
		Note string `json:"note,omitempty" maxLength:"500"`
	}
}

func (a *Alarms) historyRoutes(r *api.API) {
	const ws = "/api/v1/workspaces/{workspace}"
	api.Route(r, "listAlerts", "GET", ws+"/alerts", api.NeedViewer, "List alerts, newest first", a.alerts)
	api.Route(r, "acknowledgeAlert", "POST", ws+"/alerts/{id}:acknowledge", api.NeedEditor, "Take care of an alert: it is not repeated", a.acknowledge, api.Status(http.StatusNoContent))
	api.Route(r, "listAlarmEvents", "GET", ws+"/alarm_events", api.NeedViewer, "List what happened to alerts, newest first", a.events)
	api.Route(r, "listDeliveries", "GET", ws+"/deliveries", api.NeedViewer, "List notices and what became of them, newest first", a.deliveries)
	api.Route(r, "sendDeliveryAgain", "POST", ws+"/deliveries/{id}:again", api.NeedEditor, "Send a notice again that was given up", a.sendAgain, api.Status(http.StatusNoContent))
}

// sorted checks the column of a list that the database sorts.
func sorted(p api.ListParams, allowed map[string]string) (alarmstate.Page, error) {
	page := alarmstate.Page{Offset: p.Offset(), Limit: p.PageSize}
	if p.Q != "" {
		return page, api.BadField("q", "unknown_parameter", "this list has no text search; use its filters")
	}
	if p.Sort == "" {
		return page, nil
	}
	name, sign := p.Sort, ""
	if name[0] == '-' {
		name, sign = name[1:], "-"
	}
	column, ok := allowed[name]
	if !ok {
		names := make([]string, 0, len(allowed))
		for n := range allowed {
			names = append(names, n)
		}
		return page, api.SortError(name, names)
	}
	page.Sort = sign + column
	return page, nil
}

func (a *Alarms) alerts(ctx context.Context, in *alertListIn) (*alertListOut, error) {
	p, err := sorted(in.ListParams, map[string]string{"started_ms": "started_ms", "ended_ms": "ended_ms", "level": "level", "rule": "rule", "state": "state"})
	if err != nil {
		return nil, err
	}
	rows, total, err := alarmstate.Alerts(ctx, a.DB, in.Workspace, alarmstate.AlertFilter{State: in.State, Level: in.Level, Rule: in.Rule}, p)
	for i := range rows {
		hideLines(ctx, in.Workspace, rows[i].Conditions)
	}
	return &alertListOut{Body: api.PageOf(rows, total, in.ListParams)}, err
}

func (a *Alarms) events(ctx context.Context, in *eventListIn) (*eventListOut, error) {
	p, err := sorted(in.ListParams, map[string]string{"time_ms": "time_ms", "created_ms": "created_ms", "level": "level", "rule": "rule", "type": "type"})
	if err != nil {
		return nil, err
	}
	rows, total, err := alarmstate.Events(ctx, a.DB, in.Workspace, alarmstate.EventFilter{Rule: in.Rule, Level: in.Level, Type: in.Type,
		AlertID: in.AlertID, StartMs: in.Start, EndMs: in.End}, p)
	for i := range rows {
		hideLines(ctx, in.Workspace, rows[i].Conditions)
	}
	return &eventListOut{Body: api.PageOf(rows, total, in.ListParams)}, err
}

// hideLines takes log lines out of conditions: they are for those who may edit.
func hideLines(ctx context.Context, workspace string, conditions []alarmstate.Condition) {
	if p, refused := api.Caller(ctx); refused == nil && p.Check(workspace, api.Editor) == nil {
		return
	}
	for i := range conditions {
		conditions[i].Lines = nil
	}
}

func (a *Alarms) deliveries(ctx context.Context, in *deliveryListIn) (*deliveryListOut, error) {
	p, err := sorted(in.ListParams, map[string]string{"created_ms": "created_ms", "sent_ms": "sent_ms", "channel": "channel", "state": "state"})
	if err != nil {
		return nil, err
	}
	rows, total, err := alarmstate.Deliveries(ctx, a.DB, in.Workspace, alarmstate.DeliveryFilter{Channel: in.Channel, State: in.State, EventID: in.EventID}, p)
	return &deliveryListOut{Body: api.PageOf(rows, total, in.ListParams)}, err
}

func (a *Alarms) sendAgain(ctx context.Context, in *deliveryIn) (*struct{}, error) {
	err := alarmstate.SendAgain(ctx, a.DB, in.Workspace, in.ID)
	if errors.Is(err, alarmstate.ErrNotFound) {
		return nil, api.NotFound("failed delivery", in.ID)
	}
	if err != nil {
		return nil, err
	}
	return nil, a.record(ctx, in.Workspace, "send_again", "Delivery", in.ID, nil)
}

func (a *Alarms) acknowledge(ctx context.Context, in *acknowledgeIn) (*struct{}, error) {
	actor := api.Actor(ctx)
	channels, err := a.Resources.List(ctx, resource.KindChannel, in.Workspace)
	if err != nil {
		return nil, err
	}
	var tell []string
	for _, o := range channels {
		spec, err := resource.SpecOf[channel.Spec](o)
		if err != nil {
			return nil, err
		}
		if spec.Type.HearsAcknowledged() && !spec.Disabled {
			tell = append(tell, o.Metadata.Name)
		}
	}
	err = a.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if err := alarmstate.Acknowledge(ctx, tx, in.Workspace, in.ID, actor.Name, in.Body.Note); err != nil {
			return err
		}
		return alarmstate.TellAcknowledged(ctx, tx, in.ID, actor.Name, in.Body.Note, tell)
	})
	if errors.Is(err, alarmstate.ErrNotFound) {
		return nil, api.NotFound("firing alert", in.ID)
	}
	if err != nil {
		return nil, err
	}
	return nil, a.record(ctx, in.Workspace, "acknowledge", "Alert", in.ID, map[string]string{"note": in.Body.Note})
}
