package api

import (
	"cmp"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pharos-stack/pharos/internal/fielderr"
	"github.com/pharos-stack/pharos/internal/resource"
)

// InWorkspace is the path parameter of workspace routes.
type InWorkspace struct {
	Workspace string `path:"workspace" doc:"Name of the workspace"`
}

// ListParams are the parameters of every list.
type ListParams struct {
	Page     int    `query:"page" minimum:"1" default:"1" doc:"Number of the page, from 1"`
	PageSize int    `query:"page_size" minimum:"1" maximum:"100" default:"20" doc:"Rows a page"`
	Sort     string `query:"sort" doc:"Field to sort by; - before it for falling order"`
	Q        string `query:"q" doc:"Text that must occur"`
}

// Offset of the page's first row.
func (p ListParams) Offset() int { return (p.Page - 1) * p.PageSize }

// Page is a page of a list.
type Page[T any] struct {
	Items    []T `json:"items"`
	Total    int `json:"total" doc:"Rows of all pages"`
	Page     int `json:"page"`
	PageSize int `json:"page_size"`
}

// PageOf returns a page whose rows were already cut out.
func PageOf[T any](items []T, total int, p ListParams) Page[T] {
	if items == nil {
		items = []T{}
	}
	return Page[T]{Items: items, Total: total, Page: p.Page, PageSize: p.PageSize}
}

// Columns are the fields a list can be sorted by.
type Columns[T any] map[string]func(a, b T) int

// By returns a comparison by a value of the row.
func By[T any, K cmp.Ordered](key func(T) K) func(a, b T) int {
	return func(a, b T) int { return cmp.Compare(key(a), key(b)) }
}

// Paginate filters rows by text, sorts them and cuts out the page.
func Paginate[T any](rows []T, p ListParams, text func(T) string, columns Columns[T]) (Page[T], error) {
	if p.Q != "" {
		q := strings.ToLower(p.Q)
		rows = slices.DeleteFunc(rows, func(row T) bool { return !strings.Contains(strings.ToLower(text(row)), q) })
	}
	if err := SortRows(rows, p.Sort, columns); err != nil {
		return Page[T]{}, err
	}
	from := min(p.Offset(), len(rows))
	return PageOf(rows[from:min(from+p.PageSize, len(rows))], len(rows), p), nil
}

// SortRows sorts by a column name, - before it for falling order; empty leaves the order.
func SortRows[T any](rows []T, sort string, columns Columns[T]) error {
	if sort == "" {
		return nil
	}
	name, falling := strings.CutPrefix(sort, "-")
	compare, ok := columns[name]
	if !ok {
		return SortError(name, slices.Sorted(maps.Keys(columns)))
	}
	slices.SortStableFunc(rows, func(a, b T) int {
		if falling {
			return compare(b, a)
		}
		return compare(a, b)
	})
	return nil
}

// SortError refuses a column to sort by.
func SortError(name string, allowed []string) error {
	return BadField("sort", "bad_sort", "can't sort by %q; use one of %s", name, strings.Join(allowed, ", "))
}

// Meta is what every resource in the API has beside its spec.
type Meta struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Workspace string    `json:"workspace"`
	Folder    string    `json:"folder,omitempty" doc:"Name of the folder it stands in; absent: none"`
	Version   int64     `json:"version" doc:"Send it back with an update"`
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by"`
	UpdatedAt time.Time `json:"updated_at"`
	UpdatedBy string    `json:"updated_by"`
}

// MetaOf returns the bookkeeping of a resource.
func MetaOf(o resource.Object) Meta {
	m := o.Metadata
	return Meta{ID: m.ID, Name: m.Name, Workspace: m.Workspace, Folder: m.Folder, Version: m.Version,
		CreatedAt: m.CreatedAt, CreatedBy: m.CreatedBy, UpdatedAt: m.UpdatedAt, UpdatedBy: m.UpdatedBy}
}

// Definition is the body of a route that creates or updates a resource. T
// documents its form; the spec stays raw, for the store reads it strictly.
type Definition[T any] struct {
	Name    string
	Version int64
	Folder  string
	Spec    json.RawMessage
	bad     fielderr.Errors
}

// Schema documents the body as a T.
func (Definition[T]) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[T](), true, "")
}

// UnmarshalJSON keeps what is wrong for Err, to report it with the rest.
func (d *Definition[T]) UnmarshalJSON(text []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		d.bad.Add("", "bad_value", "the body must be an object: %v", err)
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		var err error
		switch name {
		case "name":
			err = json.Unmarshal(fields[name], &d.Name)
		case "version":
			err = json.Unmarshal(fields[name], &d.Version)
		case "folder":
			err = json.Unmarshal(fields[name], &d.Folder)
		case "spec":
			d.Spec = fields[name]
		default:
			d.bad.Add(name, "unknown_field", "there is no field %q here; use name, version and spec", name)
		}
		if err != nil {
			d.bad.Add(name, "bad_type", "%v", err)
		}
	}
	if d.Spec == nil {
		d.bad.Add("spec", "required", "is missing")
	}
	return nil
}

// Object returns the resource the body describes.
func (d *Definition[T]) Object(kind, workspace, name string) (resource.Object, error) {
	if name == "" {
		name = d.Name
	} else if d.Name != "" && d.Name != name {
		d.bad.Add("name", "immutable", "%q can't become %q: a name is for good; make a copy under the new name", name, d.Name)
	}
	if err := d.bad.Err(); err != nil {
		return resource.Object{}, err
	}
	return resource.Object{APIVersion: resource.APIVersion, Kind: kind, Spec: d.Spec,
		Metadata: resource.Metadata{Name: name, Workspace: workspace, Folder: d.Folder, Version: d.Version}}, nil
}

// Updated returns the resource the body of an update describes; it must name a version.
func (d *Definition[T]) Updated(kind, workspace, name string) (resource.Object, error) {
	if d.Version == 0 && !slices.ContainsFunc(d.bad, func(e fielderr.Error) bool { return e.Field == "version" }) {
		d.bad.Add("version", "required", "is missing; send the version you read")
	}
	return d.Object(kind, workspace, name)
}
