// Package templates carries log monitors from one place to another: it writes
// chosen monitors with their folders, alarm rules and dashboards as one
// document, and takes such a document in after showing what it would do.
//
// A template is what `pharos apply` reads. It holds no channels, for they have
// secrets, no hosts and no tokens; rules name their channels. Taking in is all
// or nothing.
package templates

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/console/resources"
	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/dashboard"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/resource"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Templates answers the routes.
type Templates struct {
	store    *resource.Store
	register pharosv1.RegisterServiceClient
}

// New returns Templates.
func New(store *resource.Store, register pharosv1.RegisterServiceClient) *Templates {
	return &Templates{store, register}
}

// TemplateContent says what a template is to hold.
type TemplateContent struct {
	Monitors []string `json:"monitors,omitempty" maxItems:"500" doc:"Names of monitors"`
	Folder   string   `json:"folder,omitempty" doc:"And all monitors in this folder and below it"`
}

// Template holds monitors with what belongs to them.
type Template struct {
	Items []resources.Item `json:"items" doc:"Folders, log monitors, alarm rules and dashboards, as apply takes them"`
	// Channels that the rules name; they are not part of the template.
	Channels []string `json:"channels" doc:"Names of channels that the rules send to; not part of the template"`
	// LeftOut rules and dashboards also look at monitors that were not chosen.
	LeftOut []string `json:"left_out" doc:"Alarm rules and dashboards that also look at monitors that were not chosen"`
}

type exportIn struct {
	api.InWorkspace
	Body TemplateContent
}
type exportOut struct{ Body Template }

// Routes registers the routes.
func (t *Templates) Routes(r *api.API) {
	const all = "/api/v1/workspaces/{workspace}/templates"
	api.Route(r, "exportTemplate", "POST", all+":export", api.NeedViewer, "Write monitors with their folders, alarm rules and dashboards as one document", t.export)
	api.Route(r, "importTemplate", "POST", all+":import", api.NeedEditor, "Take monitors in, or show what that would do: all, or none if one is bad", t.take)
}

func key(name string) string { return strings.ToLower(name) }

func (t *Templates) export(ctx context.Context, in *exportIn) (*exportOut, error) {
	objects, err := t.store.List(ctx, "", in.Workspace)
	if err != nil {
		return nil, err
	}
	parents := map[string]string{}
	there := map[string]bool{}
	for _, o := range objects {
		switch o.Kind {
		case resource.KindFolder:
			spec, err := resource.SpecOf[resource.FolderSpec](o)
			if err != nil {
				return nil, err
			}
			parents[key(o.Metadata.Name)] = key(spec.Parent)
		case resource.KindLogMonitor:
			there[key(o.Metadata.Name)] = true
		}
	}
	chosen := map[string]bool{}
	for i, name := range in.Body.Monitors {
		if !there[key(name)] {
			return nil, api.BadField(fmt.Sprintf("monitors[%d]", i), "not_found", "there is no LogMonitor %q in this workspace", name)
		}
		chosen[key(name)] = true
	}
	if _, ok := parents[key(in.Body.Folder)]; in.Body.Folder != "" && !ok {
		return nil, api.BadField("folder", "not_found", "there is no Folder %q in this workspace", in.Body.Folder)
	}
	folders := map[string]bool{}
	for _, o := range objects {
		if o.Kind != resource.KindLogMonitor {
			continue
		}
		way := wayUp(parents, key(o.Metadata.Folder))
		if in.Body.Folder != "" && slices.Contains(way, key(in.Body.Folder)) {
			chosen[key(o.Metadata.Name)] = true
		}
		if chosen[key(o.Metadata.Name)] {
			for _, f := range way {
				folders[f] = true
			}
		}
	}
	out := Template{Items: []resources.Item{}, Channels: []string{}, LeftOut: []string{}}
	for _, o := range objects {
		belongs := o.Kind == resource.KindLogMonitor && chosen[key(o.Metadata.Name)] || o.Kind == resource.KindFolder && folders[key(o.Metadata.Name)]
		if o.Kind == resource.KindAlarmRule {
			spec, err := resource.SpecOf[alarmrule.Spec](o)
			if err != nil {
				return nil, err
			}
			some, all := watches(spec, chosen)
			if belongs = some && all; belongs {
				out.Channels = append(out.Channels, spec.Channels...)
			} else if some {
				out.LeftOut = append(out.LeftOut, o.Metadata.Name)
			}
		}
		if o.Kind == resource.KindDashboard {
			spec, err := resource.SpecOf[dashboard.Spec](o)
			if err != nil {
				return nil, err
			}
			some, all := shows(spec, chosen)
			if belongs = some && all; some && !all {
				out.LeftOut = append(out.LeftOut, o.Metadata.Name)
			}
		}
		if belongs {
			out.Items = append(out.Items, resources.ItemOf(o))
		}
	}
	// Folders, then what stands in them, then what watches that: as one reads.
	rank := func(i resources.Item) int {
		return slices.IndexFunc(t.store.Kinds(), func(k resource.Kind) bool { return k.Name == i.Kind })
	}
	slices.SortStableFunc(out.Items, func(a, b resources.Item) int { return rank(a) - rank(b) })
	slices.Sort(out.Channels)
	out.Channels = slices.Compact(out.Channels)
	return &exportOut{Body: out}, nil
}

// wayUp are the folders from one to the top, by their keys.
func wayUp(parents map[string]string, folder string) []string {
	var way []string
	for folder != "" && len(way) < resource.MaxFolderDepth {
		way = append(way, folder)
		folder = parents[folder]
	}
	return way
}

// watches reports whether a rule looks at some of the monitors, and whether it
// looks at no others.
func watches(spec alarmrule.Spec, monitors map[string]bool) (some, all bool) {
	all = true
	for _, c := range spec.Each("spec") {
		switch {
		case c.Monitor == "":
			all = false // an expression may name any series
		case monitors[key(c.Monitor)]:
			some = true
		default:
			all = false
		}
	}
	return some, all
}

// shows reports whether a dashboard shows some of the monitors, and whether it
// shows no others.
func shows(spec dashboard.Spec, monitors map[string]bool) (some, all bool) {
	all = true
	for _, r := range spec.Reports {
		for _, src := range r.Sources {
			switch {
			case src.Monitor == "":
			case monitors[key(src.Monitor)]:
				some = true
			default:
				all = false
			}
		}
	}
	return some, all
}

// pending tells which apps have no agent; nil when that can't be asked.
func (t *Templates) pending(ctx context.Context) func(app string) bool {
	answer, err := t.register.ListAgents(ctx, &pharosv1.ListAgentsRequest{})
	if err != nil {
		return nil
	}
	return func(app string) bool {
		return !slices.ContainsFunc(answer.GetAgents(), func(a *pharosv1.AgentState) bool {
			return logrule.RunsApp(a.GetHost().GetLabels(), app)
		})
	}
}

// changes are the fields that differ between two specs in JSON, by name.
func changes(old, next json.RawMessage) ([]string, error) {
	var a, b map[string]json.RawMessage
	if err := json.Unmarshal(old, &a); err != nil {
		return nil, fmt.Errorf("cannot read spec: %w", err)
	}
	if err := json.Unmarshal(next, &b); err != nil {
		return nil, fmt.Errorf("cannot read spec: %w", err)
	}
	fields := []string{}
	for name, value := range b {
		if string(a[name]) != string(value) {
			fields = append(fields, "spec."+name)
		}
	}
	for name := range a {
		if _, ok := b[name]; !ok {
			fields = append(fields, "spec."+name)
		}
	}
	slices.Sort(fields)
	return fields, nil
}
