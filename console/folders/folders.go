// Package folders answers the routes of folders: the tree that log monitors
// are put in, and merging one folder into another.
package folders

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/resource"
)

// Folders answers the routes.
type Folders struct{ store *resource.Store }

// New returns Folders.
func New(store *resource.Store) *Folders { return &Folders{store} }

// Folder is a folder with what stands in it.
type Folder struct {
	api.Meta
	Spec resource.FolderSpec `json:"spec"`
	// Monitors that stand in the folder itself, and in it and all below it.
	Monitors    int `json:"monitors" doc:"Monitors in the folder itself"`
	MonitorsAll int `json:"monitors_all" doc:"Monitors in the folder and all below it"`
}

// FolderInput is what a client sends.
type FolderInput struct {
	Name    string              `json:"name,omitempty" doc:"For good; absent for a new folder: made from the title"`
	Version int64               `json:"version,omitempty" doc:"Required for an update"`
	Spec    resource.FolderSpec `json:"spec"`
}

// Tree holds all folders of a workspace.
type Tree struct {
	Items []Folder `json:"items" doc:"All folders, each before those that stand in it"`
	// Unfiled monitors stand in no folder.
	Unfiled int `json:"unfiled" doc:"Monitors in no folder"`
	Total   int `json:"total" doc:"All monitors"`
}

// Merge says where the content of a folder goes.
type Merge struct {
	Into   string `json:"into" doc:"Name of the folder that takes the content; / is the top"`
	Delete bool   `json:"delete,omitempty" doc:"Delete the folder afterwards"`
}

// Merged tells how much was moved.
type Merged struct {
	Moved int `json:"moved" doc:"Monitors and folders that were moved"`
}

// One names a folder.
type One struct {
	api.InWorkspace
	Name string `path:"name"`
}
type body struct{ Body Folder }
type treeOut struct{ Body Tree }
type listIn struct {
	api.InWorkspace
	api.ListParams
}
type listOut struct{ Body api.Page[Folder] }
type createIn struct {
	api.InWorkspace
	Body api.Definition[FolderInput]
}
type updateIn struct {
	One
	Body api.Definition[FolderInput]
}
type deleteIn struct {
	One
	Version int64 `query:"version" doc:"Delete only this version"`
}
type mergeIn struct {
	One
	Body Merge
}
type mergeOut struct{ Body Merged }

// Routes registers the routes.
func (f *Folders) Routes(r *api.API) {
	const all = "/api/v1/workspaces/{workspace}/folders"
	const item = all + "/{name}"
	api.Route(r, "listFolders", "GET", all, api.NeedViewer, "List folders, each before those that stand in it", f.list)
	api.Route(r, "getFolderTree", "GET", all+":tree", api.NeedViewer, "All folders at once, and how many monitors stand where", f.tree)
	api.Route(r, "createFolder", "POST", all, api.NeedEditor, "Create a folder", f.create, api.OwnValidation, api.Status(http.StatusCreated))
	api.Route(r, "getFolder", "GET", item, api.NeedViewer, "Read a folder", f.get)
	api.Route(r, "updateFolder", "PUT", item, api.NeedEditor, "Rename or move a folder", f.update, api.OwnValidation)
	api.Route(r, "deleteFolder", "DELETE", item, api.NeedEditor, "Delete an empty folder", f.delete, api.Status(http.StatusNoContent))
	api.Route(r, "mergeFolder", "POST", item+":merge", api.NeedEditor, "Move all content of a folder into another one", f.merge)
}

func (f *Folders) list(ctx context.Context, in *listIn) (*listOut, error) {
	all, err := f.all(ctx, in.Workspace)
	if err != nil {
		return nil, err
	}
	page, err := api.Paginate(all.Items, in.ListParams, func(r Folder) string { return r.Name + " " + r.Spec.Title }, api.Columns[Folder]{
		"name": api.By(func(r Folder) string { return r.Name }), "title": api.By(func(r Folder) string { return r.Spec.Title }),
	})
	return &listOut{Body: page}, err
}

func (f *Folders) tree(ctx context.Context, in *api.InWorkspace) (*treeOut, error) {
	all, err := f.all(ctx, in.Workspace)
	return &treeOut{Body: all}, err
}

// all reads the folders from the top down and counts what stands in them.
func (f *Folders) all(ctx context.Context, workspace string) (Tree, error) {
	objects, err := f.store.List(ctx, resource.KindFolder, workspace)
	if err != nil {
		return Tree{}, err
	}
	monitors, err := f.store.List(ctx, resource.KindLogMonitor, workspace)
	if err != nil {
		return Tree{}, err
	}
	out := Tree{Items: []Folder{}, Total: len(monitors)}
	within := map[string]int{}
	for _, m := range monitors {
		if m.Metadata.Folder == "" {
			out.Unfiled++
		}
		within[strings.ToLower(m.Metadata.Folder)]++
	}
	children := map[string][]Folder{}
	for _, o := range objects {
		row, err := folderOf(o)
		if err != nil {
			return Tree{}, err
		}
		row.Monitors = within[strings.ToLower(row.Name)]
		parent := strings.ToLower(row.Spec.Parent)
		children[parent] = append(children[parent], row)
	}
	for _, rows := range children {
		slices.SortStableFunc(rows, func(a, b Folder) int {
			return cmp.Or(cmp.Compare(a.Spec.Order, b.Spec.Order), strings.Compare(strings.ToLower(a.Spec.Title), strings.ToLower(b.Spec.Title)))
		})
	}
	var walk func(parent string) int
	walk = func(parent string) int {
		sum := 0
		for _, row := range children[parent] {
			at := len(out.Items)
			out.Items = append(out.Items, row)
			out.Items[at].MonitorsAll = row.Monitors + walk(strings.ToLower(row.Name))
			sum += out.Items[at].MonitorsAll
		}
		return sum
	}
	walk("")
	return out, nil
}

func folderOf(o resource.Object) (Folder, error) {
	spec, err := resource.SpecOf[resource.FolderSpec](o)
	return Folder{Meta: api.MetaOf(o), Spec: spec}, err
}

func answer(o resource.Object, err error) (*body, error) {
	if err != nil {
		return nil, err
	}
	row, err := folderOf(o)
	return &body{Body: row}, err
}

func (f *Folders) get(ctx context.Context, in *One) (*body, error) {
	return answer(f.store.Get(ctx, resource.KindFolder, in.Workspace, in.Name))
}

// maxNames is how many names are tried for a folder without one.
const maxNames = 100

func (f *Folders) create(ctx context.Context, in *createIn) (*body, error) {
	o, err := in.Body.Object(resource.KindFolder, in.Workspace, "")
	if err != nil {
		return nil, err
	}
	if o.Metadata.Name != "" {
		return answer(f.store.Create(ctx, api.Actor(ctx), o))
	}
	var spec struct{ Title string }
	if err := json.Unmarshal(o.Spec, &spec); err != nil {
		spec.Title = "" // the store says what is wrong with it
	}
	base := nameFrom(spec.Title)
	for n := 1; n <= maxNames; n++ {
		o.Metadata.Name = base
		if n > 1 {
			o.Metadata.Name = fmt.Sprintf("%s-%d", base, n)
		}
		made, err := f.store.Create(ctx, api.Actor(ctx), o)
		if !errors.Is(err, resource.ErrNameTaken) {
			return answer(made, err)
		}
	}
	return nil, api.BadField("name", "required", "give a name: %d folders are called %s already", maxNames, base)
}

// nameFrom makes a name of a title: its letters and digits, hyphens between words.
func nameFrom(title string) string {
	words := strings.FieldsFunc(strings.ToLower(title), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) })
	name := []rune(strings.Join(words, "-"))
	name = name[:min(len(name), 50)]
	if len(name) == 0 || unicode.IsMark(name[0]) {
		return "folder"
	}
	return strings.TrimRight(string(name), "-")
}

func (f *Folders) update(ctx context.Context, in *updateIn) (*body, error) {
	o, err := in.Body.Updated(resource.KindFolder, in.Workspace, in.Name)
	if err != nil {
		return nil, err
	}
	return answer(f.store.Update(ctx, api.Actor(ctx), o))
}

func (f *Folders) delete(ctx context.Context, in *deleteIn) (*struct{}, error) {
	return nil, f.store.Delete(ctx, api.Actor(ctx), resource.KindFolder, in.Workspace, in.Name, in.Version)
}

func (f *Folders) merge(ctx context.Context, in *mergeIn) (*mergeOut, error) {
	moved, err := f.store.MergeFolder(ctx, api.Actor(ctx), in.Workspace, in.Name, in.Body.Into, in.Body.Delete)
	return &mergeOut{Body: Merged{Moved: moved}}, err
}
