package templates

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/dashboard"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/resource"
)

// OnConflict says what becomes of something that is there already.
type OnConflict string

// The ways.
const (
	Skip      OnConflict = "skip"
	Overwrite OnConflict = "overwrite"
	Copy      OnConflict = "copy"
)

// Import is a template to take in.
type Import struct {
	Text       string     `json:"text" minLength:"1" maxLength:"900000" doc:"The template, YAML or JSON"`
	OnConflict OnConflict `json:"on_conflict,omitempty" enum:"skip,overwrite,copy" default:"skip" doc:"What becomes of monitors and rules that are there already: stay as they are, become as in the template, or get a copy under another name beside them. Folders are never copied"`
	// WithoutMissingChannels takes rules in without the channels that are not here.
	WithoutMissingChannels bool `json:"without_missing_channels,omitempty" doc:"Take rules in without the channels that are not here; else they are refused"`
	DryRun                 bool `json:"dry_run,omitempty" doc:"Tell what would be done, and do nothing"`
}

// Imported tells what was done, or would be.
type Imported struct {
	Items []ImportedItem `json:"items" doc:"In the order of the template"`
	// MissingChannels are named by rules and not here.
	MissingChannels []string `json:"missing_channels" doc:"Channels that rules name and that are not here"`
}

// ImportedItem is what was done with one item.
type ImportedItem struct {
	Kind    string `json:"kind"`
	Name    string `json:"name" doc:"As in the template"`
	As      string `json:"as" doc:"Name it has here: another one for a copy"`
	Title   string `json:"title"`
	Outcome string `json:"outcome" enum:"created,updated,unchanged,skipped"`
	// Changes are the fields that differ, of an update.
	Changes []string `json:"changes" doc:"Fields that change, of an update"`
	// PendingApp is set when no agent runs the monitor's app yet: it begins to
	// collect as soon as one does.
	PendingApp string `json:"pending_app,omitempty" doc:"App that no agent runs yet; collecting begins when one does"`
}

type importIn struct {
	api.InWorkspace
	Body Import
}
type importOut struct{ Body Imported }

// item is an object on its way in.
type item struct {
	resource.Object
	told ImportedItem
	// old is what is there already, nil if nothing is.
	old *resource.Object
}

func (t *Templates) take(ctx context.Context, in *importIn) (*importOut, error) {
	objects, err := t.store.Kinds().Parse([]byte(in.Body.Text))
	if err != nil {
		return nil, err
	}
	if len(objects) == 0 || len(objects) > 500 {
		return nil, api.BadField("text", "too_many", "holds %d resources; give 1 to 500", len(objects))
	}
	here, err := t.store.List(ctx, "", in.Workspace)
	if err != nil {
		return nil, err
	}
	items := itemsOf(objects, here, in.Workspace)
	if in.Body.OnConflict == Copy {
		if err := rename(items, here); err != nil {
			return nil, err
		}
	}
	missing, err := channels(items, here, in.Body.WithoutMissingChannels)
	if err != nil {
		return nil, err
	}
	var wanted []resource.Object
	var index []int
	for i := range items {
		it := &items[i]
		if it.old != nil && (in.Body.OnConflict == Skip || in.Body.OnConflict == "" || in.Body.OnConflict == Copy) {
			it.told.Outcome = "skipped"
			continue
		}
		wanted, index = append(wanted, it.Object), append(index, i)
	}
	results, err := t.store.Apply(ctx, api.Actor(ctx), in.Workspace, wanted, in.Body.DryRun)
	if err != nil {
		return nil, err
	}
	pending := t.pending(ctx)
	for n, r := range results {
		it := &items[index[n]]
		it.told.Outcome = string(r.Outcome)
		if err := t.describe(it, pending); err != nil {
			return nil, err
		}
	}
	out := Imported{Items: []ImportedItem{}, MissingChannels: missing}
	for i := range items {
		out.Items = append(out.Items, items[i].told)
	}
	return &importOut{Body: out}, nil
}

func itemsOf(objects, here []resource.Object, workspace string) []item {
	items := make([]item, len(objects))
	for i, o := range objects {
		// Where it was, and how often it was changed there, means nothing here.
		o.Metadata = resource.Metadata{Name: o.Metadata.Name, Workspace: workspace, Folder: o.Metadata.Folder}
		items[i] = item{Object: o, told: ImportedItem{Kind: o.Kind, Name: o.Metadata.Name, As: o.Metadata.Name, Changes: []string{}}}
		var titled struct {
			Title string `json:"title"`
		}
		if json.Unmarshal(o.Spec, &titled) == nil { // the store tells what is wrong with it
			items[i].told.Title = titled.Title
		}
		if j := slices.IndexFunc(here, func(h resource.Object) bool { return h.Kind == o.Kind && key(h.Metadata.Name) == key(o.Metadata.Name) }); j >= 0 {
			items[i].old = &here[j]
		}
	}
	return items
}

// maxCopies is how many names are tried for a copy.
const maxCopies = 1000

// rename gives what is there already a name that is free, and makes rules and
// dashboards look at the copies of their monitors.
func rename(items []item, here []resource.Object) error {
	taken := map[[2]string]bool{}
	for _, o := range here {
		taken[[2]string{o.Kind, key(o.Metadata.Name)}] = true
	}
	for i := range items {
		taken[[2]string{items[i].Kind, key(items[i].Metadata.Name)}] = true
	}
	copies := map[string]string{}
	for i := range items {
		it := &items[i]
		if it.old == nil || it.Kind != resource.KindLogMonitor && it.Kind != resource.KindAlarmRule && it.Kind != resource.KindDashboard {
			continue
		}
		name := ""
		for n := 2; n <= maxCopies && name == ""; n++ {
			end := fmt.Sprintf("_%d", n)
			if try := it.told.Name[:min(len(it.told.Name), 63-len(end))] + end; !taken[[2]string{it.Kind, key(try)}] {
				name = try
			}
		}
		if name == "" {
			return api.BadField("on_conflict", "duplicate_name", "there are %d copies of %s already; choose another way", maxCopies, it.told.Name)
		}
		taken[[2]string{it.Kind, key(name)}] = true
		it.Metadata.Name, it.told.As, it.old = name, name, nil
		if it.Kind == resource.KindLogMonitor {
			copies[key(it.told.Name)] = name
		}
	}
	err := each(items, resource.KindAlarmRule, func(spec *alarmrule.Spec) {
		rename := func(conditions []alarmrule.Condition) {
			for i := range conditions {
				if name, ok := copies[key(conditions[i].Monitor)]; ok {
					conditions[i].Monitor = name
				}
			}
		}
		rename(spec.Conditions)
		for _, r := range spec.Rules {
			rename(r.Conditions)
		}
	})
	if err != nil {
		return err
	}
	return each(items, resource.KindDashboard, func(spec *dashboard.Spec) {
		for i, r := range spec.Reports {
			for j, src := range r.Sources {
				if name, ok := copies[key(src.Monitor)]; ok {
					spec.Reports[i].Sources[j].Monitor = name
				}
			}
		}
	})
}

// eachMatch changes the alarms that monitors among the items carry themselves.
func eachMatch(items []item, change func(*logrule.MatchRule)) error {
	for i := range items {
		it := &items[i]
		if it.Kind != resource.KindLogMonitor {
			continue
		}
		spec, err := resource.SpecOf[logrule.Spec](it.Object)
		if err != nil {
			return api.BadField(fmt.Sprintf("items[%d].spec", i), "bad_value", "%v", err)
		}
		if spec.Match == nil {
			continue
		}
		change(spec.Match)
		if it.Spec, err = json.Marshal(spec); err != nil {
			return fmt.Errorf("cannot write spec of %s %q: %w", it.Kind, it.told.Name, err)
		}
	}
	return nil
}

// each changes the specs of one kind among the items.
func each[S resource.Spec[S]](items []item, kind string, change func(*S)) error {
	for i := range items {
		it := &items[i]
		if it.Kind != kind {
			continue
		}
		spec, err := resource.SpecOf[S](it.Object)
		if err != nil {
			return api.BadField(fmt.Sprintf("items[%d].spec", i), "bad_value", "%v", err)
		}
		change(&spec)
		if it.Spec, err = json.Marshal(spec); err != nil {
			return fmt.Errorf("cannot write spec of %s %q: %w", it.Kind, it.told.Name, err)
		}
	}
	return nil
}

// channels returns the channels that rules and monitors name and nobody has, and
// takes them out if asked to.
func channels(items []item, here []resource.Object, takeOut bool) ([]string, error) {
	there := map[string]bool{}
	for _, o := range here {
		there[o.Kind+" "+key(o.Metadata.Name)] = true
	}
	for i := range items {
		there[items[i].Kind+" "+key(items[i].Metadata.Name)] = true
	}
	missing := []string{}
	err := each(items, resource.KindAlarmRule, func(spec *alarmrule.Spec) {
		gone := func(name string) bool { return !there[resource.KindChannel+" "+key(name)] }
		for _, name := range spec.Channels {
			if gone(name) {
				missing = append(missing, name)
			}
		}
		if takeOut {
			spec.Channels = slices.DeleteFunc(spec.Channels, gone)
		}
	})
	if err == nil {
		err = eachMatch(items, func(m *logrule.MatchRule) {
			for _, names := range []*[]string{&m.Channels, &m.SMSChannels} {
				gone := func(name string) bool { return !there[resource.KindChannel+" "+key(name)] }
				for _, name := range *names {
					if gone(name) {
						missing = append(missing, name)
					}
				}
				if takeOut {
					*names = slices.DeleteFunc(*names, gone)
				}
			}
		})
	}
	slices.Sort(missing)
	return slices.Compact(missing), err
}

// describe tells what an update changes and what a monitor waits for.
func (t *Templates) describe(it *item, pending func(app string) bool) error {
	next, err := t.store.Kinds().Normal(it.Object)
	if err != nil {
		return err
	}
	if it.told.Outcome == string(resource.Updated) && it.old != nil {
		if it.told.Changes, err = changes(it.old.Spec, next); err != nil {
			return err
		}
		if f := it.Metadata.Folder; f != "" && !strings.EqualFold(strings.TrimPrefix(f, resource.TopFolder), it.old.Metadata.Folder) {
			it.told.Changes = append(it.told.Changes, "metadata.folder")
		}
	}
	if it.Kind == resource.KindLogMonitor && pending != nil {
		var spec logrule.Spec
		if err := json.Unmarshal(next, &spec); err != nil {
			return errors.Join(errors.New("cannot read spec"), err)
		}
		if pending(spec.App) {
			it.told.PendingApp = spec.App
		}
	}
	return nil
}
