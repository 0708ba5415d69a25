// Package monitors answers the routes of log monitors: their definitions, how
// they are doing, what they count, and the log files they read or might read.
package monitors

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/resource"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Options of Monitors.
type Options struct {
	Resources *resource.Store
	Register  pharosv1.RegisterServiceClient
	Query     pharosv1.QueryServiceClient
	Log       *slog.Logger
	// Clock defaults to time.Now.
	Clock func() time.Time
}

// Monitors answers the routes.
type Monitors struct{ Options }

// New returns Monitors.
func New(o Options) *Monitors {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Monitors{o}
}

// Monitor is a log monitor with its state.
type Monitor struct {
	api.Meta
	Spec     logrule.Spec  `json:"spec"`
	Status   MonitorStatus `json:"status"`
	Warnings []string      `json:"warnings,omitempty" doc:"Names in the scope that no agent has, when it was saved"`
}

// MonitorStatus tells how a monitor is doing.
type MonitorStatus struct {
	AgentsExpected int `json:"agents_expected" doc:"Agents that should read"`
	AgentsActive   int `json:"agents_active" doc:"Agents that read by the present definition without an error"`
	// Errors of agents, at most 10.
	Errors []AgentError `json:"errors"`
	// LastWindowMs is the start of the newest settled window.
	LastWindowMs *int64   `json:"last_window_ms,omitempty"`
	Completeness *float64 `json:"completeness,omitempty" doc:"Share of the agents in the newest settled window, 0 to 1"`
	// Unknown says which part of the server could not be asked.
	Unknown string `json:"unknown,omitempty" doc:"Why this status is incomplete, if it is"`
}

// AgentError is what keeps an agent from reading.
type AgentError struct {
	AgentID string `json:"agent_id"`
	Host    string `json:"host"`
	Error   string `json:"error"`
}

// MonitorInput is what a client sends.
type MonitorInput struct {
	Name    string       `json:"name,omitempty" doc:"The key in series, for good: a lower-case letter, then lower-case letters, digits or _"`
	Version int64        `json:"version,omitempty" doc:"Required for an update"`
	Folder  string       `json:"folder,omitempty" doc:"Folder to stand in; absent: where it is; / is the top"`
	Spec    logrule.Spec `json:"spec"`
}

type body struct{ Body Monitor }

// One names a resource of a workspace.
type One struct {
	api.InWorkspace
	Name string `path:"name"`
}

type listIn struct {
	api.InWorkspace
	api.ListParams
	Type    string `query:"type" enum:"minute,minute_multi,minute_top,spm,second,second_multi,row_top,match,"`
	App     string `query:"app"`
	Enabled string `query:"enabled" enum:"true,false,"`
	Folder  string `query:"folder" doc:"Name of a folder: monitors in it and below it; / those in no folder"`
}

type listOut struct{ Body api.Page[Monitor] }

type createIn struct {
	api.InWorkspace
	Force bool `query:"force" doc:"Save although no known agent is in scope"`
	Body  api.Definition[MonitorInput]
}

type updateIn struct {
	One
	Force bool `query:"force" doc:"Save although no known agent is in scope"`
	Body  api.Definition[MonitorInput]
}

type deleteIn struct {
	One
	Version int64 `query:"version" doc:"Delete only this version"`
}

type copyIn struct {
	One
	Body struct {
		Name  string `json:"name" doc:"Name of the copy"`
		Title string `json:"title,omitempty" doc:"Title of the copy; absent: as before"`
	}
}

// Routes registers the routes.
func (m *Monitors) Routes(r *api.API) {
	const all = "/api/v1/workspaces/{workspace}/monitors"
	const item = all + "/{name}"
	api.Route(r, "listMonitors", "GET", all, api.NeedViewer, "List monitors", m.list)
	api.Route(r, "createMonitor", "POST", all, api.NeedEditor, "Create a monitor", m.create, api.OwnValidation, api.Status(http.StatusCreated))
	api.Route(r, "moveMonitors", "POST", all+":move", api.NeedEditor, "Put monitors into a folder; they go on as they are", m.move, api.Status(http.StatusNoContent))
	api.Route(r, "enableMonitors", "POST", all+":enable", api.NeedEditor, "Start collecting of several monitors", m.enableAll)
	api.Route(r, "disableMonitors", "POST", all+":disable", api.NeedEditor, "Stop collecting of several monitors", m.disableAll)
	api.Route(r, "validateMonitor", "POST", all+":validate", api.NeedEditor, "Check a definition without saving it", m.validate, api.OwnValidation, api.Status(http.StatusNoContent))
	api.Route(r, "convertTranslation", "POST", "/api/v1/workspaces/{workspace}/translations:convert", api.NeedEditor, "Write a translation as a script and as entries", m.convert)
	api.Route(r, "debugMonitor", "POST", all+":debug", api.NeedEditor, "Run a definition on real lines without saving it", m.debug, api.OwnValidation)
	api.Route(r, "getMonitor", "GET", item, api.NeedViewer, "Read a monitor", m.get)
	api.Route(r, "updateMonitor", "PUT", item, api.NeedEditor, "Update a monitor", m.update, api.OwnValidation)
	api.Route(r, "deleteMonitor", "DELETE", item, api.NeedEditor, "Delete a monitor", m.delete, api.Status(http.StatusNoContent))
	api.Route(r, "enableMonitor", "POST", item+":enable", api.NeedEditor, "Start collecting", m.enable)
	api.Route(r, "disableMonitor", "POST", item+":disable", api.NeedEditor, "Stop collecting; history stays", m.disable)
	api.Route(r, "copyMonitor", "POST", item+":copy", api.NeedEditor, "Create a copy under another name", m.copy, api.Status(http.StatusCreated))
	api.Route(r, "getMonitorWindows", "GET", item+"/windows", api.NeedViewer, "Completeness and losses by window", m.windows)
	api.Route(r, "getMonitorAgents", "GET", item+"/agents", api.NeedViewer, "What each agent reads for the monitor", m.agents)
	api.Route(r, "getMonitorDiagnosis", "GET", item+"/diagnosis", api.NeedViewer, "What keeps the monitor from working, with evidence", m.diagnosis)
	api.Route(r, "getMonitorKeys", "GET", item+"/keys", api.NeedViewer, "Figures by key over a time range", m.keys)
	api.Route(r, "getMonitorRows", "GET", item+"/rows", api.NeedViewer, "Records and lines that windows keep", m.rows)
	m.logFileRoutes(r)
}

func monitorOf(o resource.Object) (Monitor, error) {
	spec, err := resource.SpecOf[logrule.Spec](o)
	return Monitor{Meta: api.MetaOf(o), Spec: spec, Status: MonitorStatus{Errors: []AgentError{}}}, err
}

func (m *Monitors) list(ctx context.Context, in *listIn) (*listOut, error) {
	objects, err := m.Resources.List(ctx, resource.KindLogMonitor, in.Workspace)
	if err != nil {
		return nil, err
	}
	folders, err := m.tree(ctx, in.Workspace)
	if err != nil {
		return nil, err
	}
	var rows []Monitor
	for _, o := range objects {
		row, err := monitorOf(o)
		if err != nil {
			return nil, err
		}
		if (in.Type == "" || string(row.Spec.Type) == in.Type) && (in.App == "" || row.Spec.App == in.App) &&
			(in.Folder == "" || folders.within(row.Folder, in.Folder)) &&
			(in.Enabled == "" || (in.Enabled == "true") == !row.Spec.Disabled) {
			rows = append(rows, row)
		}
	}
	page, err := api.Paginate(rows, in.ListParams, func(r Monitor) string {
		text := r.Name + " " + r.Spec.Title + " " + r.Spec.Description + " " + folders.titles(r.Folder)
		for name, value := range r.Spec.Index {
			text += " " + name + "=" + value
		}
		return text
	}, api.Columns[Monitor]{
		"name": api.By(func(r Monitor) string { return r.Name }), "title": api.By(func(r Monitor) string { return r.Spec.Title }),
		"type": api.By(func(r Monitor) string { return string(r.Spec.Type) }), "app": api.By(func(r Monitor) string { return r.Spec.App }),
		"created_at": api.By(func(r Monitor) int64 { return r.CreatedAt.UnixMilli() }), "updated_at": api.By(func(r Monitor) int64 { return r.UpdatedAt.UnixMilli() }),
	})
	if err != nil {
		return nil, err
	}
	m.fillStatus(ctx, page.Items)
	return &listOut{Body: page}, nil
}

// answer returns a stored resource with its status.
func (m *Monitors) answer(ctx context.Context, o resource.Object, err error) (*body, error) {
	if err != nil {
		return nil, err
	}
	row, err := monitorOf(o)
	if err != nil {
		return nil, err
	}
	rows := []Monitor{row}
	m.fillStatus(ctx, rows)
	return &body{Body: rows[0]}, nil
}

func (m *Monitors) get(ctx context.Context, in *One) (*body, error) {
	o, err := m.Resources.Get(ctx, resource.KindLogMonitor, in.Workspace, in.Name)
	return m.answer(ctx, o, err)
}

func (m *Monitors) create(ctx context.Context, in *createIn) (*body, error) {
	o, err := in.Body.Object(resource.KindLogMonitor, in.Workspace, "")
	if err != nil {
		return nil, err
	}
	warnings, err := m.checkScope(ctx, o, in.Force)
	if err != nil {
		return nil, err
	}
	o, err = m.Resources.Create(ctx, api.Actor(ctx), o)
	return m.warned(ctx, o, warnings, err)
}

// warned is answer with warnings about the scope.
func (m *Monitors) warned(ctx context.Context, o resource.Object, warnings []string, err error) (*body, error) {
	out, err := m.answer(ctx, o, err)
	if err == nil {
		out.Body.Warnings = warnings
	}
	return out, err
}

func (m *Monitors) update(ctx context.Context, in *updateIn) (*body, error) {
	o, err := in.Body.Updated(resource.KindLogMonitor, in.Workspace, in.Name)
	if err != nil {
		return nil, err
	}
	warnings, err := m.checkScope(ctx, o, in.Force)
	if err != nil {
		return nil, err
	}
	o, err = m.Resources.Update(ctx, api.Actor(ctx), o)
	return m.warned(ctx, o, warnings, err)
}

func (m *Monitors) delete(ctx context.Context, in *deleteIn) (*struct{}, error) {
	return nil, m.Resources.Delete(ctx, api.Actor(ctx), resource.KindLogMonitor, in.Workspace, in.Name, in.Version)
}

func (m *Monitors) validate(ctx context.Context, in *createIn) (*struct{}, error) {
	o, err := in.Body.Object(resource.KindLogMonitor, in.Workspace, "")
	if err != nil {
		return nil, err
	}
	return nil, m.Resources.Validate(ctx, o)
}

func (m *Monitors) enable(ctx context.Context, in *One) (*body, error) {
	return m.setDisabled(ctx, in, false)
}

func (m *Monitors) disable(ctx context.Context, in *One) (*body, error) {
	return m.setDisabled(ctx, in, true)
}

func (m *Monitors) setDisabled(ctx context.Context, in *One, disabled bool) (*body, error) {
	o, err := m.Resources.Get(ctx, resource.KindLogMonitor, in.Workspace, in.Name)
	if err != nil {
		return nil, err
	}
	spec, err := resource.SpecOf[logrule.Spec](o)
	if err != nil {
		return nil, err
	}
	if spec.Disabled != disabled {
		spec.Disabled = disabled
		if o.Spec, err = json.Marshal(spec); err != nil {
			return nil, fmt.Errorf("cannot write spec: %w", err)
		}
		o, err = m.Resources.Update(ctx, api.Actor(ctx), o)
	}
	return m.answer(ctx, o, err)
}

func (m *Monitors) copy(ctx context.Context, in *copyIn) (*body, error) {
	o, err := m.Resources.Get(ctx, resource.KindLogMonitor, in.Workspace, in.Name)
	if err != nil {
		return nil, err
	}
	spec, err := resource.SpecOf[logrule.Spec](o)
	if err != nil {
		return nil, err
	}
	if in.Body.Title != "" {
		spec.Title = in.Body.Title
	}
	c := resource.Object{APIVersion: resource.APIVersion, Kind: o.Kind, Metadata: resource.Metadata{Name: in.Body.Name, Workspace: in.Workspace, Folder: o.Metadata.Folder}}
	if c.Spec, err = json.Marshal(spec); err != nil {
		return nil, fmt.Errorf("cannot write spec: %w", err)
	}
	c, err = m.Resources.Create(ctx, api.Actor(ctx), c)
	return m.answer(ctx, c, err)
}
