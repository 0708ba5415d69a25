// Package favourites keeps what a person wants at hand: monitors, dashboards,
// agents and hosts, per workspace. Nobody sees the favourites of another person.
package favourites

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/dashboard"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/meta"
	"github.com/pharos-stack/pharos/internal/resource"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// The kinds of favourites.
const (
	Monitor   = "monitor"
	Dashboard = "dashboard"
	Agent     = "agent"
	Host      = "host"
)

// MaxFavourites of a person in a workspace.
const MaxFavourites = 200

type row struct {
	bun.BaseModel `bun:"table:favourites"`
	UserID        string `bun:",pk"`
	Workspace     string `bun:",pk"`
	Kind          string `bun:",pk"`
	Name          string `bun:",pk"`
	CreatedMs     int64  `bun:",notnull"`
}

// Migrations of the table.
var Migrations = []meta.Migration{meta.CreateTables("favourites", (*row)(nil))}

// Options of Favourites.
type Options struct {
	DB        *bun.DB
	Resources *resource.Store
	Register  pharosv1.RegisterServiceClient
	// Clock defaults to time.Now.
	Clock func() time.Time
}

// Favourites answers the routes.
type Favourites struct{ Options }

// New returns Favourites.
func New(o Options) *Favourites {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Favourites{o}
}

// Favourite is something that a person has marked.
type Favourite struct {
	Kind string `json:"kind" enum:"monitor,dashboard,agent,host"`
	// Name of a monitor, dashboard or host, id of an agent.
	Name      string `json:"name" doc:"Name of a monitor, dashboard or host, id of an agent"`
	Title     string `json:"title" doc:"What people call it"`
	CreatedMs int64  `json:"created_ms"`
	// Gone says that there is no such thing any more, as far as is known.
	Gone bool `json:"gone" doc:"There is no such thing any more"`
}

// FavouriteList holds the favourites of a person in a workspace.
type FavouriteList struct {
	Items []Favourite `json:"items" doc:"Monitors, dashboards, agents, hosts, each by title"`
}
type listOut struct{ Body FavouriteList }

// Key names a favourite.
type Key struct {
	api.InWorkspace
	Kind string `path:"kind" enum:"monitor,dashboard,agent,host"`
	Name string `path:"name" doc:"Name of a monitor, dashboard or host, id of an agent"`
}

// Routes registers the routes.
func (f *Favourites) Routes(r *api.API) {
	const all = "/api/v1/workspaces/{workspace}/favourites"
	const item = all + "/{kind}/{name}"
	api.Route(r, "listFavourites", "GET", all, api.NeedViewer, "My favourites", f.list)
	api.Route(r, "addFavourite", "PUT", item, api.NeedViewer, "Make something one of my favourites", f.add, api.Status(http.StatusNoContent))
	api.Route(r, "removeFavourite", "DELETE", item, api.NeedViewer, "Make something no favourite of mine any more", f.remove, api.Status(http.StatusNoContent))
}

// known are the things of a workspace by kind and name, with their titles.
// Kinds that could not be asked are not in it.
type known map[string]map[string]string

func (f *Favourites) known(ctx context.Context, workspace string) (known, error) {
	objects, err := f.Resources.List(ctx, resource.KindLogMonitor, workspace)
	if err != nil {
		return nil, err
	}
	k := known{Monitor: {}, Dashboard: {}}
	for _, o := range objects {
		spec, err := resource.SpecOf[logrule.Spec](o)
		if err != nil {
			return nil, err
		}
		k[Monitor][o.Metadata.Name] = spec.Title
	}
	if objects, err = f.Resources.List(ctx, resource.KindDashboard, workspace); err != nil {
		return nil, err
	}
	for _, o := range objects {
		spec, err := resource.SpecOf[dashboard.Spec](o)
		if err != nil {
			return nil, err
		}
		k[Dashboard][o.Metadata.Name] = spec.Title
	}
	answer, err := f.Register.ListAgents(ctx, &pharosv1.ListAgentsRequest{})
	if err != nil {
		return k, nil // monitors are shown all the same
	}
	k[Agent], k[Host] = map[string]string{}, map[string]string{}
	for _, a := range answer.GetAgents() {
		host := a.GetHost().GetHostname()
		k[Agent][a.GetAgentId()] = cmp.Or(host, a.GetAgentId())
		k[Host][host] = host
	}
	return k, nil
}

func (f *Favourites) list(ctx context.Context, in *api.InWorkspace) (*listOut, error) {
	p, refused := api.Caller(ctx)
	if refused != nil {
		return nil, refused
	}
	var rows []row
	if err := f.DB.NewSelect().Model(&rows).Where("user_id = ? AND workspace = ?", p.UserID, in.Workspace).Scan(ctx); err != nil {
		return nil, fmt.Errorf("cannot list favourites: %w", err)
	}
	out := FavouriteList{Items: []Favourite{}}
	if len(rows) == 0 {
		return &listOut{Body: out}, nil
	}
	k, err := f.known(ctx, in.Workspace)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		things, asked := k[r.Kind]
		title, there := things[r.Name]
		out.Items = append(out.Items, Favourite{Kind: r.Kind, Name: r.Name, Title: cmp.Or(title, r.Name), CreatedMs: r.CreatedMs, Gone: asked && !there})
	}
	rank := func(kind string) int { return slices.Index([]string{Monitor, Dashboard, Agent, Host}, kind) }
	slices.SortFunc(out.Items, func(a, b Favourite) int {
		return cmp.Or(cmp.Compare(rank(a.Kind), rank(b.Kind)), strings.Compare(strings.ToLower(a.Title), strings.ToLower(b.Title)), strings.Compare(a.Name, b.Name))
	})
	return &listOut{Body: out}, nil
}

func (f *Favourites) add(ctx context.Context, in *Key) (*struct{}, error) {
	p, refused := api.Caller(ctx)
	if refused != nil {
		return nil, refused
	}
	k, err := f.known(ctx, in.Workspace)
	if err != nil {
		return nil, err
	}
	if things, asked := k[in.Kind]; asked {
		if _, there := things[in.Name]; !there {
			return nil, api.NotFound(in.Kind, in.Name)
		}
	} else {
		return nil, api.Code(http.StatusServiceUnavailable, "unavailable")
	}
	n, err := f.DB.NewSelect().Model((*row)(nil)).Where("user_id = ? AND workspace = ?", p.UserID, in.Workspace).Count(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot count favourites: %w", err)
	}
	if n >= MaxFavourites {
		return nil, api.BadField("name", "too_many", "there are %d favourites already; at most %d are kept, remove some", n, MaxFavourites)
	}
	made := row{UserID: p.UserID, Workspace: in.Workspace, Kind: in.Kind, Name: in.Name, CreatedMs: f.Clock().UnixMilli()}
	if _, err := f.DB.NewInsert().Model(&made).On("CONFLICT (user_id, workspace, kind, name) DO NOTHING").Exec(ctx); err != nil {
		return nil, fmt.Errorf("cannot keep favourite %s %q: %w", in.Kind, in.Name, err)
	}
	return nil, nil
}

// Names returns what of a kind the caller has marked in a workspace.
func (f *Favourites) Names(ctx context.Context, workspace, kind string) ([]string, error) {
	p, refused := api.Caller(ctx)
	if refused != nil {
		return nil, refused
	}
	var names []string
	err := f.DB.NewSelect().Model((*row)(nil)).Column("name").Where("user_id = ? AND workspace = ? AND kind = ?", p.UserID, workspace, kind).Scan(ctx, &names)
	if err != nil {
		return nil, fmt.Errorf("cannot list favourites: %w", err)
	}
	return names, nil
}

// Prune removes the favourites of people and workspaces that are gone.
func (f *Favourites) Prune(ctx context.Context) error {
	_, err := f.DB.NewDelete().Model((*row)(nil)).
		Where("user_id NOT IN (SELECT id FROM users) OR workspace NOT IN (SELECT name FROM workspaces)").Exec(ctx)
	if err != nil {
		return fmt.Errorf("cannot remove favourites of those who are gone: %w", err)
	}
	return nil
}

func (f *Favourites) remove(ctx context.Context, in *Key) (*struct{}, error) {
	p, refused := api.Caller(ctx)
	if refused != nil {
		return nil, refused
	}
	_, err := f.DB.NewDelete().Model((*row)(nil)).Where("user_id = ? AND workspace = ? AND kind = ? AND name = ?", p.UserID, in.Workspace, in.Kind, in.Name).Exec(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot remove favourite %s %q: %w", in.Kind, in.Name, err)
	}
	return nil, nil
}
