// Package silences answers the routes of silences: when nobody is told of
// alarms, who decided so, and why.
package silences

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/resource"
	"github.com/pharos-stack/pharos/internal/silence"
)

// Silences answers the routes. All fields are required.
type Silences struct {
	Resources *resource.Store
	Clock     func() time.Time
}

// States of a silence.
const (
	pending = "pending"
	active  = "active"
	over    = "over"
)

// Silence is a silence as stored, with its state.
type Silence struct {
	api.Meta
	Spec  silence.Spec `json:"spec"`
	State string       `json:"state" enum:"pending,active,over"`
}

// SilenceInput is what a client sends.
type SilenceInput struct {
	Name    string       `json:"name,omitempty" doc:"For good; a silence without one gets one"`
	Version int64        `json:"version,omitempty" doc:"Required for an update"`
	Spec    silence.Spec `json:"spec"`
}

// One names a silence of a workspace.
type One struct {
	api.InWorkspace
	Name string `path:"name"`
}
type body struct{ Body Silence }
type listIn struct {
	api.InWorkspace
	api.ListParams
	State string `query:"state" enum:"pending,active,over,"`
}
type listOut struct{ Body api.Page[Silence] }
type createIn struct {
	api.InWorkspace
	Body api.Definition[SilenceInput]
}
type updateIn struct {
	One
	Body api.Definition[SilenceInput]
}
type deleteIn struct {
	One
	Version int64 `query:"version" doc:"Delete only this version"`
}

// Routes registers the routes.
func (s *Silences) Routes(r *api.API) {
	const all = "/api/v1/workspaces/{workspace}/silences"
	const item = all + "/{name}"
	api.Route(r, "listSilences", "GET", all, api.NeedViewer, "List silences", s.list)
	api.Route(r, "createSilence", "POST", all, api.NeedEditor, "Tell nobody of some alarms for a time", s.create, api.OwnValidation, api.Status(http.StatusCreated))
	api.Route(r, "getSilence", "GET", item, api.NeedViewer, "Read a silence", s.get)
	api.Route(r, "updateSilence", "PUT", item, api.NeedEditor, "Update a silence", s.update, api.OwnValidation)
	api.Route(r, "endSilence", "POST", item+":end", api.NeedEditor, "End a silence now", s.end)
	api.Route(r, "deleteSilence", "DELETE", item, api.NeedEditor, "Delete a silence", s.delete, api.Status(http.StatusNoContent))
}

func (s *Silences) view(o resource.Object) (Silence, error) {
	spec, err := resource.SpecOf[silence.Spec](o)
	row := Silence{Meta: api.MetaOf(o), Spec: spec, State: active}
	switch now := s.Clock(); {
	case now.Before(spec.From):
		row.State = pending
	case !now.Before(spec.Until):
		row.State = over
	}
	return row, err
}

func (s *Silences) answer(o resource.Object, err error) (*body, error) {
	if err != nil {
		return nil, err
	}
	row, err := s.view(o)
	return &body{Body: row}, err
}

func (s *Silences) list(ctx context.Context, in *listIn) (*listOut, error) {
	objects, err := s.Resources.List(ctx, resource.KindSilence, in.Workspace)
	if err != nil {
		return nil, err
	}
	rows := make([]Silence, 0, len(objects))
	for _, o := range objects {
		row, err := s.view(o)
		if err != nil {
			return nil, err
		}
		if in.State == "" || row.State == in.State {
			rows = append(rows, row)
		}
	}
	text := func(p Silence) string {
		return p.Name + " " + p.Spec.Reason + " " + p.Spec.Folder + " " + p.Spec.Monitor + " " + p.Spec.Rule
	}
	page, err := api.Paginate(rows, in.ListParams, text, api.Columns[Silence]{
		"name":       api.By(func(p Silence) string { return p.Name }),
		"from":       api.By(func(p Silence) int64 { return p.Spec.From.Unix() }),
		"until":      api.By(func(p Silence) int64 { return p.Spec.Until.Unix() }),
		"state":      api.By(func(p Silence) string { return p.State }),
		"updated_at": api.By(func(p Silence) int64 { return p.UpdatedAt.UnixMilli() }),
	})
	return &listOut{Body: page}, err
}

func (s *Silences) create(ctx context.Context, in *createIn) (*body, error) {
	if in.Body.Name == "" {
		in.Body.Name = resource.NewID("silence-")
	}
	o, err := in.Body.Object(resource.KindSilence, in.Workspace, "")
	if err != nil {
		return nil, err
	}
	return s.answer(s.Resources.Create(ctx, api.Actor(ctx), o))
}

func (s *Silences) get(ctx context.Context, in *One) (*body, error) {
	return s.answer(s.Resources.Get(ctx, resource.KindSilence, in.Workspace, in.Name))
}

func (s *Silences) update(ctx context.Context, in *updateIn) (*body, error) {
	o, err := in.Body.Updated(resource.KindSilence, in.Workspace, in.Name)
	if err != nil {
		return nil, err
	}
	return s.answer(s.Resources.Update(ctx, api.Actor(ctx), o))
}

func (s *Silences) end(ctx context.Context, in *One) (*body, error) {
	o, err := s.Resources.Get(ctx, resource.KindSilence, in.Workspace, in.Name)
	if err != nil {
		return nil, err
	}
	row, err := s.view(o)
	if err != nil || row.State == over {
		return &body{Body: row}, err
	}
	now := s.Clock().UTC().Truncate(time.Second)
	row.Spec.From, row.Spec.Until = minTime(row.Spec.From, now.Add(-time.Second)), now
	if o.Spec, err = json.Marshal(row.Spec); err != nil {
		return nil, fmt.Errorf("cannot write spec: %w", err)
	}
	return s.answer(s.Resources.Update(ctx, api.Actor(ctx), o))
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func (s *Silences) delete(ctx context.Context, in *deleteIn) (*struct{}, error) {
	return nil, s.Resources.Delete(ctx, api.Actor(ctx), resource.KindSilence, in.Workspace, in.Name, in.Version)
}
