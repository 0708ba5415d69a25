// Package dashboards answers the routes of dashboards: their definitions, and
// what their reports show. It promises that every value comes with how complete
// its windows are, and that a report that fails does not keep others from showing.
package dashboards

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/dashboard"
	"github.com/pharos-stack/pharos/internal/resource"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Options of Dashboards.
type Options struct {
	Resources *resource.Store
	Query     pharosv1.QueryServiceClient
	// Favourites tells which dashboards are the caller's own.
	Favourites interface {
		Names(ctx context.Context, workspace, kind string) ([]string, error)
	}
}

// Dashboards answers the routes.
type Dashboards struct{ Options }

// New returns Dashboards.
func New(o Options) *Dashboards { return &Dashboards{o} }

// Dashboard is a dashboard as stored.
type Dashboard struct {
	api.Meta
	Spec dashboard.Spec `json:"spec"`
}

// DashboardInput is what a client sends.
type DashboardInput struct {
	Name    string         `json:"name,omitempty" doc:"For good: a letter or digit, then letters, digits, dots, hyphens or underscores, at most 63"`
	Version int64          `json:"version,omitempty" doc:"Required for an update"`
	Spec    dashboard.Spec `json:"spec"`
}

// One names a dashboard of a workspace.
type One struct {
	api.InWorkspace
	Name string `path:"name"`
}
type body struct{ Body Dashboard }
type listIn struct {
	api.InWorkspace
	api.ListParams
	Which string `query:"which" enum:"key,mine," doc:"Only key dashboards, or only the caller's favourites"`
}
type listOut struct{ Body api.Page[Dashboard] }
type createIn struct {
	api.InWorkspace
	Body api.Definition[DashboardInput]
}
type updateIn struct {
	One
	Body api.Definition[DashboardInput]
}
type deleteIn struct {
	One
	Version int64 `query:"version" doc:"Delete only this version"`
}

// Routes registers the routes.
func (d *Dashboards) Routes(r *api.API) {
	const all = "/api/v1/workspaces/{workspace}/dashboards"
	const item = all + "/{name}"
	api.Route(r, "listDashboards", "GET", all, api.NeedViewer, "List dashboards", d.list)
	api.Route(r, "createDashboard", "POST", all, api.NeedEditor, "Create a dashboard", d.create, api.OwnValidation, api.Status(http.StatusCreated))
	api.Route(r, "queryReports", "POST", all+":query", api.NeedViewer, "Tell what reports show", d.ask)
	api.Route(r, "importGrafanaDashboard", "POST", all+":import_grafana", api.NeedEditor, "Turn a Grafana dashboard into one of Pharos; it is not saved", d.importGrafana)
	api.Route(r, "getDashboard", "GET", item, api.NeedViewer, "Read a dashboard", d.get)
	api.Route(r, "updateDashboard", "PUT", item, api.NeedEditor, "Update a dashboard", d.update, api.OwnValidation)
	api.Route(r, "deleteDashboard", "DELETE", item, api.NeedEditor, "Delete a dashboard", d.delete, api.Status(http.StatusNoContent))
}

func of(o resource.Object) (Dashboard, error) {
	spec, err := resource.SpecOf[dashboard.Spec](o)
	return Dashboard{Meta: api.MetaOf(o), Spec: spec}, err
}

func answer(o resource.Object, err error) (*body, error) {
	if err != nil {
		return nil, err
	}
	d, err := of(o)
	return &body{Body: d}, err
}

func (d *Dashboards) list(ctx context.Context, in *listIn) (*listOut, error) {
	objects, err := d.Resources.List(ctx, resource.KindDashboard, in.Workspace)
	if err != nil {
		return nil, err
	}
	var mine []string
	if in.Which == "mine" {
		if mine, err = d.Favourites.Names(ctx, in.Workspace, "dashboard"); err != nil {
			return nil, err
		}
	}
	rows := make([]Dashboard, 0, len(objects))
	for _, o := range objects {
		row, err := of(o)
		if err != nil {
			return nil, err
		}
		if in.Which == "" || in.Which == "key" && row.Spec.Key || in.Which == "mine" && slices.Contains(mine, row.Name) {
			rows = append(rows, row)
		}
	}
	slices.SortStableFunc(rows, func(a, b Dashboard) int {
		switch {
		case a.Spec.Key == b.Spec.Key:
			return 0
		case a.Spec.Key:
			return -1
		}
		return 1
	})
	page, err := api.Paginate(rows, in.ListParams, func(x Dashboard) string { return x.Name + " " + x.Spec.Title }, api.Columns[Dashboard]{
		"reports": api.By(func(x Dashboard) int { return len(x.Spec.Reports) }),
		"name":    api.By(func(x Dashboard) string { return x.Name }), "title": api.By(func(x Dashboard) string { return x.Spec.Title }),
		"created_at": api.By(func(x Dashboard) int64 { return x.CreatedAt.UnixMilli() }), "updated_at": api.By(func(x Dashboard) int64 { return x.UpdatedAt.UnixMilli() }),
	})
	return &listOut{Body: page}, err
}

func (d *Dashboards) get(ctx context.Context, in *One) (*body, error) {
	return answer(d.Resources.Get(ctx, resource.KindDashboard, in.Workspace, in.Name))
}

func (d *Dashboards) create(ctx context.Context, in *createIn) (*body, error) {
	o, err := in.Body.Object(resource.KindDashboard, in.Workspace, "")
	if err != nil {
		return nil, err
	}
	return answer(d.Resources.Create(ctx, api.Actor(ctx), o))
}

func (d *Dashboards) update(ctx context.Context, in *updateIn) (*body, error) {
	o, err := in.Body.Updated(resource.KindDashboard, in.Workspace, in.Name)
	if err != nil {
		return nil, err
	}
	return answer(d.Resources.Update(ctx, api.Actor(ctx), o))
}

func (d *Dashboards) delete(ctx context.Context, in *deleteIn) (*struct{}, error) {
	return nil, d.Resources.Delete(ctx, api.Actor(ctx), resource.KindDashboard, in.Workspace, in.Name, in.Version)
}

type askIn struct {
	api.InWorkspace
	Body Question
}
type askOut struct{ Body Answers }

// maxRange is the longest range in one question.
const maxRange = 92 * 24 * time.Hour

// atOnce is how many reports of a question are answered side by side.
const atOnce = 4

func (d *Dashboards) ask(ctx context.Context, in *askIn) (*askOut, error) {
	q := &in.Body
	if q.Start >= q.End {
		return nil, api.BadField("start", "range_invalid", "must be before end")
	}
	if q.End-q.Start > maxRange.Milliseconds() {
		return nil, api.BadField("start", "range_invalid", "is more than 92 days before end; ask for less")
	}
	out := Answers{Reports: make([]Answer, len(q.Reports))}
	shared := &asked{answers: map[askedFor]func() (*pharosv1.QueryResponse, error){}}
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i, report := range q.Reports {
		g.Go(func() error {
			data, err := d.answer(ctx, in.Workspace, q, shared, report)
			if err != nil {
				out.Reports[i].Error = api.FromError(err)
			} else {
				out.Reports[i].Data = data
			}
			return nil
		})
	}
	g.Wait() // its functions return no error
	return &askOut{Body: out}, ctx.Err()
}

// GrafanaImport holds a dashboard as Grafana exports it.
type GrafanaImport struct {
	Dashboard json.RawMessage `json:"dashboard" doc:"JSON model of a Grafana dashboard"`
}
type importIn struct {
	api.InWorkspace
	Body GrafanaImport
}
type importOut struct{ Body dashboard.Imported }

func (d *Dashboards) importGrafana(_ context.Context, in *importIn) (*importOut, error) {
	imported, err := dashboard.FromGrafana(in.Body.Dashboard)
	if err != nil {
		return nil, api.BadField("dashboard", "bad_json", "%v", err)
	}
	return &importOut{Body: imported}, nil
}
