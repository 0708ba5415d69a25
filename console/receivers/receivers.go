// Package receivers answers the routes of who is told of alarms: contacts,
// notification groups, on-call rotations, subscriptions, and what an account
// decides about its own alarms.
package receivers

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/recipient"
	"github.com/pharos-stack/pharos/internal/resource"
)

// Options of the routes. All are required.
type Options struct {
	DB        *bun.DB
	Resources *resource.Store
	Clock     func() time.Time
}

// Receivers answers the routes.
type Receivers struct{ Options }

// New returns Receivers.
func New(o Options) *Receivers { return &Receivers{o} }

// Receiver is a resource as stored, with what others say of it.
type Receiver[T any] struct {
	api.Meta
	Spec T `json:"spec"`
	// Subscriptions go when it is deleted.
	Subscriptions int               `json:"subscriptions" doc:"Subscriptions of it; they go when it is deleted"`
	Groups        []string          `json:"groups,omitempty" doc:"Notification groups a contact is in"`
	Shifts        []recipient.Shift `json:"shifts,omitempty" doc:"Who has duty now and in the next four weeks"`
	Mine          bool              `json:"mine" doc:"It is mine: my contact, or my contact is a member"`
}

// Input is what a client sends.
type Input[T any] struct {
	Name    string `json:"name,omitempty" doc:"For good; a subscription without one gets one"`
	Version int64  `json:"version,omitempty" doc:"Required for an update"`
	Spec    T      `json:"spec"`
}

// One names a receiver of a workspace.
type One struct {
	api.InWorkspace
	Name string `path:"name"`
}
type body[T any] struct{ Body Receiver[T] }
type listIn struct {
	api.InWorkspace
	api.ListParams
	Mine bool `query:"mine" doc:"Only mine"`
}
type listOut[T any] struct{ Body api.Page[Receiver[T]] }
type createIn[T any] struct {
	api.InWorkspace
	Body api.Definition[Input[T]]
}
type updateIn[T any] struct {
	One
	Body api.Definition[Input[T]]
}
type deleteIn struct {
	One
	Version int64 `query:"version" doc:"Delete only this version"`
}

// Routes registers the routes.
func (s *Receivers) Routes(r *api.API) {
	routes[recipient.Contact](s, r, resource.KindContact, "contacts", "Contact", "contact")
	routes[recipient.Group](s, r, resource.KindGroup, "notification_groups", "NotificationGroup", "notification group")
	routes[recipient.OnCall](s, r, resource.KindOnCall, "oncalls", "OnCall", "on-call rotation")
	routes[recipient.Subscription](s, r, resource.KindSubscription, "subscriptions", "Subscription", "subscription")
	s.personalRoutes(r)
}

func routes[T any](s *Receivers, r *api.API, kind, path, id, noun string) {
	all := "/api/v1/workspaces/{workspace}/" + path
	item := all + "/{name}"
	answer := func(ctx context.Context, workspace string, o resource.Object, err error) (*body[T], error) {
		if err != nil {
			return nil, err
		}
		v, err := s.look(ctx, workspace)
		if err != nil {
			return nil, err
		}
		row, err := view[T](v, o)
		return &body[T]{Body: row}, err
	}
	api.Route(r, "list"+id+"s", "GET", all, api.NeedViewer, "List "+noun+"s", func(ctx context.Context, in *listIn) (*listOut[T], error) {
		objects, err := s.Resources.List(ctx, kind, in.Workspace)
		if err != nil {
			return nil, err
		}
		v, err := s.look(ctx, in.Workspace)
		if err != nil {
			return nil, err
		}
		rows := make([]Receiver[T], 0, len(objects))
		for _, o := range objects {
			row, err := view[T](v, o)
			if err != nil {
				return nil, err
			}
			if row.Mine || !in.Mine {
				rows = append(rows, row)
			}
		}
		page, err := api.Paginate(rows, in.ListParams, func(p Receiver[T]) string { return p.Name + " " + text(p.Spec) }, api.Columns[Receiver[T]]{
			"name":       api.By(func(p Receiver[T]) string { return p.Name }),
			"updated_at": api.By(func(p Receiver[T]) int64 { return p.UpdatedAt.UnixMilli() }),
		})
		return &listOut[T]{Body: page}, err
	})
	api.Route(r, "create"+id, "POST", all, api.NeedEditor, "Create a "+noun, func(ctx context.Context, in *createIn[T]) (*body[T], error) {
		if kind == resource.KindSubscription && in.Body.Name == "" {
			in.Body.Name = resource.NewID("sub-")
		}
		o, err := in.Body.Object(kind, in.Workspace, "")
		if err != nil {
			return nil, err
		}
		o, err = s.Resources.Create(ctx, api.Actor(ctx), o)
		return answer(ctx, in.Workspace, o, err)
	}, api.OwnValidation, api.Status(http.StatusCreated))
	api.Route(r, "get"+id, "GET", item, api.NeedViewer, "Read a "+noun, func(ctx context.Context, in *One) (*body[T], error) {
		o, err := s.Resources.Get(ctx, kind, in.Workspace, in.Name)
		return answer(ctx, in.Workspace, o, err)
	})
	api.Route(r, "update"+id, "PUT", item, api.NeedEditor, "Update a "+noun, func(ctx context.Context, in *updateIn[T]) (*body[T], error) {
		o, err := in.Body.Updated(kind, in.Workspace, in.Name)
		if err != nil {
			return nil, err
		}
		o, err = s.Resources.Update(ctx, api.Actor(ctx), o)
		return answer(ctx, in.Workspace, o, err)
	}, api.OwnValidation)
	api.Route(r, "delete"+id, "DELETE", item, api.NeedEditor, "Delete a "+noun, func(ctx context.Context, in *deleteIn) (*struct{}, error) {
		return nil, s.Resources.Delete(ctx, api.Actor(ctx), kind, in.Workspace, in.Name, in.Version)
	}, api.Status(http.StatusNoContent))
}

// views is what rows of a workspace say of each other.
type views struct {
	edits  bool
	user   string
	now    time.Time
	mine   map[string]bool     // my contacts, in lower case
	groups map[string][]string // contact → groups
	// members of groups and rotations, by kind and name in lower case.
	members map[[2]string][]string
	count   map[[2]string]int // subscriptions by field and name of the subscriber
}

func (s *Receivers) look(ctx context.Context, workspace string) (*views, error) {
	v := &views{now: s.Clock(), mine: map[string]bool{}, groups: map[string][]string{}, members: map[[2]string][]string{}, count: map[[2]string]int{}}
	user, err := s.account(ctx)
	if err != nil {
		return nil, err
	}
	if p, refused := api.Caller(ctx); refused == nil {
		v.user, v.edits = user, p.Check(workspace, api.Editor) == nil
	}
	for _, kind := range []string{resource.KindContact, resource.KindGroup, resource.KindOnCall, resource.KindSubscription} {
		objects, err := s.Resources.List(ctx, kind, workspace)
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			name := strings.ToLower(o.Metadata.Name)
			switch kind {
			case resource.KindContact:
				var c recipient.Contact
				c, err = resource.SpecOf[recipient.Contact](o)
				v.mine[name] = c.User != "" && c.User == v.user
			case resource.KindGroup:
				var g recipient.Group
				g, err = resource.SpecOf[recipient.Group](o)
				v.members[[2]string{"group", name}] = g.Contacts
				for _, c := range g.Contacts {
					v.groups[strings.ToLower(c)] = append(v.groups[strings.ToLower(c)], o.Metadata.Name)
				}
			case resource.KindOnCall:
				var d recipient.OnCall
				d, err = resource.SpecOf[recipient.OnCall](o)
				v.members[[2]string{"oncall", name}] = d.Contacts
			case resource.KindSubscription:
				var sub recipient.Subscription
				sub, err = resource.SpecOf[recipient.Subscription](o)
				field, whom := sub.Subscriber()
				v.count[[2]string{field, strings.ToLower(whom)}]++
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// has reports whether I am a contact, or a member of a group or rotation.
func (v *views) has(field, name string) bool {
	name = strings.ToLower(name)
	if field == "contact" {
		return v.mine[name]
	}
	return slices.ContainsFunc(v.members[[2]string{field, name}], func(c string) bool { return v.mine[strings.ToLower(c)] })
}

func view[T any](v *views, o resource.Object) (Receiver[T], error) {
	spec, err := resource.SpecOf[T](o)
	row := Receiver[T]{Meta: api.MetaOf(o), Spec: spec}
	field := map[string]string{resource.KindContact: "contact", resource.KindGroup: "group", resource.KindOnCall: "oncall"}[o.Kind]
	row.Subscriptions = v.count[[2]string{field, strings.ToLower(o.Metadata.Name)}]
	row.Mine = v.has(field, o.Metadata.Name)
	switch s := any(&row.Spec).(type) {
	case *recipient.Contact:
		row.Groups = v.groups[strings.ToLower(o.Metadata.Name)]
		if !v.edits && !row.Mine {
			*s = s.Masked()
		}
	case *recipient.OnCall:
		row.Shifts = s.Shifts(v.now, v.now.AddDate(0, 0, 28))
	case *recipient.Subscription:
		row.Mine = v.has(s.Subscriber())
	}
	return row, err
}

// text is what a search looks into beside the name.
func text(spec any) string {
	switch s := spec.(type) {
	case recipient.Group:
		return s.Title
	case recipient.OnCall:
		return s.Title
	case recipient.Subscription:
		_, whom := s.Subscriber()
		_, what := s.Scope()
		return whom + " " + what
	}
	return ""
}
