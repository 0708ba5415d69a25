// Package masking answers the routes of masking policies: what of lines must not
// leave any host, whatever the monitors of the workspace say.
package masking

import (
	"context"
	"net/http"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/resource"
)

// Masking answers the routes.
type Masking struct{ resources *resource.Store }

// New returns Masking.
func New(resources *resource.Store) *Masking { return &Masking{resources} }

// Policy is a masking policy as stored.
type Policy struct {
	api.Meta
	Spec logrule.MaskingPolicy `json:"spec"`
}

// PolicyInput is what a client sends.
type PolicyInput struct {
	Name    string                `json:"name,omitempty" doc:"For good: a letter or digit, then letters, digits, dots, hyphens or underscores, at most 63"`
	Version int64                 `json:"version,omitempty" doc:"Required for an update"`
	Spec    logrule.MaskingPolicy `json:"spec"`
}

// One names a policy of a workspace.
type One struct {
	api.InWorkspace
	Name string `path:"name"`
}
type body struct{ Body Policy }
type listIn struct {
	api.InWorkspace
	api.ListParams
}
type listOut struct{ Body api.Page[Policy] }
type createIn struct {
	api.InWorkspace
	Body api.Definition[PolicyInput]
}
type updateIn struct {
	One
	Body api.Definition[PolicyInput]
}
type deleteIn struct {
	One
	Version int64 `query:"version" doc:"Delete only this version"`
}

// Routes registers the routes.
func (m *Masking) Routes(r *api.API) {
	const all = "/api/v1/workspaces/{workspace}/masking"
	const item = all + "/{name}"
	api.Route(r, "listMasking", "GET", all, api.NeedViewer, "List masking policies", m.list)
	api.Route(r, "createMasking", "POST", all, api.NeedEditor, "Create a masking policy", m.create, api.OwnValidation, api.Status(http.StatusCreated))
	api.Route(r, "getMasking", "GET", item, api.NeedViewer, "Read a masking policy", m.get)
	api.Route(r, "updateMasking", "PUT", item, api.NeedEditor, "Update a masking policy", m.update, api.OwnValidation)
	api.Route(r, "deleteMasking", "DELETE", item, api.NeedEditor, "Delete a masking policy", m.delete, api.Status(http.StatusNoContent))
}

func of(o resource.Object) (Policy, error) {
	spec, err := resource.SpecOf[logrule.MaskingPolicy](o)
	return Policy{Meta: api.MetaOf(o), Spec: spec}, err
}

func answer(o resource.Object, err error) (*body, error) {
	if err != nil {
		return nil, err
	}
	p, err := of(o)
	return &body{Body: p}, err
}

func (m *Masking) list(ctx context.Context, in *listIn) (*listOut, error) {
	objects, err := m.resources.List(ctx, resource.KindMasking, in.Workspace)
	if err != nil {
		return nil, err
	}
	rows := make([]Policy, 0, len(objects))
	for _, o := range objects {
		row, err := of(o)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	page, err := api.Paginate(rows, in.ListParams, func(p Policy) string { return p.Name + " " + p.Spec.Title }, api.Columns[Policy]{
		"name": api.By(func(p Policy) string { return p.Name }), "title": api.By(func(p Policy) string { return p.Spec.Title }),
		"created_at": api.By(func(p Policy) int64 { return p.CreatedAt.UnixMilli() }), "updated_at": api.By(func(p Policy) int64 { return p.UpdatedAt.UnixMilli() }),
	})
	return &listOut{Body: page}, err
}

func (m *Masking) get(ctx context.Context, in *One) (*body, error) {
	return answer(m.resources.Get(ctx, resource.KindMasking, in.Workspace, in.Name))
}

func (m *Masking) create(ctx context.Context, in *createIn) (*body, error) {
	o, err := in.Body.Object(resource.KindMasking, in.Workspace, "")
	if err != nil {
		return nil, err
	}
	return answer(m.resources.Create(ctx, api.Actor(ctx), o))
}

func (m *Masking) update(ctx context.Context, in *updateIn) (*body, error) {
	o, err := in.Body.Updated(resource.KindMasking, in.Workspace, in.Name)
	if err != nil {
		return nil, err
	}
	return answer(m.resources.Update(ctx, api.Actor(ctx), o))
}

func (m *Masking) delete(ctx context.Context, in *deleteIn) (*struct{}, error) {
	return nil, m.resources.Delete(ctx, api.Actor(ctx), resource.KindMasking, in.Workspace, in.Name, in.Version)
}
