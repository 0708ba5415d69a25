package monitors

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/fielderr"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/resource"
)

// Chosen names monitors for something that is done with all of them, or none.
type Chosen struct {
	Names []string `json:"names" minItems:"1" maxItems:"500"`
}

// Move says where monitors are put.
type Move struct {
	Names  []string `json:"names" minItems:"1" maxItems:"500"`
	Folder string   `json:"folder" minLength:"1" doc:"Name of the folder; / is the top"`
}

type chosenIn struct {
	api.InWorkspace
	Body Chosen
}
type moveIn struct {
	api.InWorkspace
	Body Move
}

// Changed tells how many monitors were not so before.
type Changed struct {
	Changed int `json:"changed" doc:"Monitors that were not so before"`
}
type changedOut struct{ Body Changed }

func (m *Monitors) move(ctx context.Context, in *moveIn) (*struct{}, error) {
	return nil, m.Resources.Move(ctx, api.Actor(ctx), resource.KindLogMonitor, in.Workspace, in.Body.Names, in.Body.Folder)
}

func (m *Monitors) enableAll(ctx context.Context, in *chosenIn) (*changedOut, error) {
	return m.setAllDisabled(ctx, in, false)
}

func (m *Monitors) disableAll(ctx context.Context, in *chosenIn) (*changedOut, error) {
	return m.setAllDisabled(ctx, in, true)
}

func (m *Monitors) setAllDisabled(ctx context.Context, in *chosenIn, disabled bool) (*changedOut, error) {
	var objects []resource.Object
	seen := map[string]bool{}
	for i, name := range in.Body.Names {
		if seen[strings.ToLower(name)] {
			return nil, api.Invalid(fielderr.Error{Field: fmt.Sprintf("names[%d]", i), Code: "duplicate_name", Message: fmt.Sprintf("%q is given twice", name)})
		}
		seen[strings.ToLower(name)] = true
		o, err := m.Resources.Get(ctx, resource.KindLogMonitor, in.Workspace, name)
		if err != nil {
			return nil, err
		}
		spec, err := resource.SpecOf[logrule.Spec](o)
		if err != nil {
			return nil, err
		}
		if spec.Disabled == disabled {
			continue
		}
		spec.Disabled = disabled
		if o.Spec, err = json.Marshal(spec); err != nil {
			return nil, fmt.Errorf("cannot write spec: %w", err)
		}
		objects = append(objects, o)
	}
	if len(objects) == 0 {
		return &changedOut{}, nil
	}
	if _, err := m.Resources.Apply(ctx, api.Actor(ctx), in.Workspace, objects, false); err != nil {
		return nil, err
	}
	return &changedOut{Body: Changed{Changed: len(objects)}}, nil
}

// tree knows which folders stand in which.
type tree map[string]resource.FolderSpec

func (m *Monitors) tree(ctx context.Context, workspace string) (tree, error) {
	objects, err := m.Resources.List(ctx, resource.KindFolder, workspace)
	if err != nil {
		return nil, err
	}
	t := tree{}
	for _, o := range objects {
		spec, err := resource.SpecOf[resource.FolderSpec](o)
		if err != nil {
			return nil, err
		}
		t[strings.ToLower(o.Metadata.Name)] = spec
	}
	return t, nil
}

// within reports whether folder is top or stands below it; TopFolder holds
// what stands in no folder.
func (t tree) within(folder, top string) bool {
	if top == resource.TopFolder {
		return folder == ""
	}
	for range resource.MaxFolderDepth {
		if strings.EqualFold(folder, top) {
			return true
		}
		folder = t[strings.ToLower(folder)].Parent
	}
	return false
}

// titles returns the titles of the folder and those it stands in.
func (t tree) titles(folder string) string {
	var titles []string
	for range resource.MaxFolderDepth {
		f, ok := t[strings.ToLower(folder)]
		if !ok {
			break
		}
		titles = append(titles, f.Title)
		folder = f.Parent
	}
	return strings.Join(titles, " ")
}
