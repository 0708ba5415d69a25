// Package resources answers the routes that treat all kinds of resources
// alike: apply and export, as the command line uses them, and their schemas.
package resources

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/recipient"
	"github.com/pharos-stack/pharos/internal/resource"
)

// Resources answers the routes.
type Resources struct{ store *resource.Store }

// New returns Resources.
func New(store *resource.Store) *Resources { return &Resources{store} }

// Item is a resource as in YAML.
type Item struct {
	APIVersion string       `json:"apiVersion" enum:"pharos/v1"`
	Kind       string       `json:"kind" enum:"Masking,Folder,LogMonitor,Channel,AlarmRule,Dashboard"`
	Metadata   ItemMetadata `json:"metadata"`
	Spec       any          `json:"spec" doc:"See /api/schemas/{kind}.json"`
}

// ItemMetadata identifies a resource; only the name is needed.
type ItemMetadata struct {
	ID        string    `json:"id,omitempty"`
	Name      string    `json:"name"`
	Workspace string    `json:"workspace,omitempty"`
	Folder    string    `json:"folder,omitempty" doc:"Folder it stands in; absent: stays where it is; / is the top"`
	Version   int64     `json:"version,omitempty" doc:"If given, it must be the stored one"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	CreatedBy string    `json:"created_by,omitempty"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`
	UpdatedBy string    `json:"updated_by,omitempty"`
}

// ApplyInput holds the resources to apply.
type ApplyInput struct {
	DryRun bool   `json:"dry_run,omitempty" doc:"Check everything, keep nothing"`
	Items  []Item `json:"items" maxItems:"500"`
}

type applyIn struct {
	api.InWorkspace
	DryRun bool `query:"dry_run" doc:"Same as in the body"`
	Body   api.Raw[ApplyInput]
}

// ApplyResult tells what was done with each item.
type ApplyResult struct {
	Items []resource.Applied `json:"items" doc:"In the order of the request"`
}
type applyOut struct{ Body ApplyResult }
type exportIn struct {
	api.InWorkspace
	Kind string `query:"kind" enum:"Folder,LogMonitor,Channel,AlarmRule,Dashboard," doc:"Absent: all kinds"`
}

// Export holds resources as apply takes them; secrets are left out.
type Export struct {
	Items []Item `json:"items"`
}
type exportOut struct{ Body Export }
type schemaIn struct {
	File string `path:"file" doc:"Kind and .json, such as LogMonitor.json"`
}
type schemaOut struct {
	ContentType string `header:"Content-Type"`
	Body        map[string]any
}

// Routes registers the routes.
func (s *Resources) Routes(r *api.API) {
	const all = "/api/v1/workspaces/{workspace}/resources"
	api.Route(r, "applyResources", "POST", all+":apply", api.NeedEditor, "Create or update resources: all, or none if one is bad", s.apply, api.OwnValidation)
	api.Route(r, "exportResources", "GET", all+":export", api.NeedViewer, "Read resources as apply takes them", s.export)
	api.Route(r, "getSchema", "GET", "/api/schemas/{file}", api.Public, "JSON Schema of a kind of resource", s.schema)
}

func (s *Resources) apply(ctx context.Context, in *applyIn) (*applyOut, error) {
	raw, err := in.Body.Field("items")
	if err != nil {
		return nil, err
	}
	objects, err := s.store.Kinds().Parse(fmt.Appendf(nil, `{"items":%s}`, raw))
	if err != nil {
		return nil, err
	}
	if len(objects) > 500 {
		return nil, api.BadField("items", "too_many", "has %d; at most 500 at once", len(objects))
	}
	dry := in.DryRun
	if flag, err := in.Body.Field("dry_run"); err == nil {
		var inBody bool
		if err := json.Unmarshal(flag, &inBody); err != nil {
			return nil, api.BadField("dry_run", "bad_type", "use true or false")
		}
		dry = dry || inBody
	}
	results, err := s.store.Apply(ctx, api.Actor(ctx), in.Workspace, objects, dry)
	return &applyOut{Body: ApplyResult{Items: results}}, err
}

func (s *Resources) export(ctx context.Context, in *exportIn) (*exportOut, error) {
	objects, err := s.store.List(ctx, in.Kind, in.Workspace)
	if err != nil {
		return nil, err
	}
	out := Export{Items: []Item{}}
	p, refused := api.Caller(ctx)
	edits := refused == nil && p.Check(in.Workspace, api.Editor) == nil
	for _, o := range objects {
		if o.Kind == resource.KindContact && !edits { // numbers are for those who may edit
			contact, err := resource.SpecOf[recipient.Contact](o)
			if err != nil {
				return nil, err
			}
			if o.Spec, err = json.Marshal(contact.Masked()); err != nil {
				return nil, err
			}
		}
		out.Items = append(out.Items, ItemOf(o))
	}
	return &exportOut{Body: out}, nil
}

// ItemOf writes a resource with its name and folder alone: what is exported
// can be applied anywhere, and again later.
func ItemOf(o resource.Object) Item {
	return Item{APIVersion: o.APIVersion, Kind: o.Kind, Metadata: ItemMetadata{Name: o.Metadata.Name, Folder: o.Metadata.Folder}, Spec: o.Spec}
}

func (s *Resources) schema(_ context.Context, in *schemaIn) (*schemaOut, error) {
	for _, k := range s.store.Kinds() {
		if k.Name+".json" == in.File {
			return &schemaOut{ContentType: "application/schema+json", Body: Schema(k)}, nil
		}
	}
	return nil, api.NotFound("schema", in.File)
}

// Schema returns the JSON Schema of a kind's resources.
func Schema(k resource.Kind) map[string]any {
	registry := huma.NewMapRegistry("#/$defs/", api.SchemaName)
	spec := registry.Schema(k.Type, true, "")
	metadata := registry.Schema(reflect.TypeFor[ItemMetadata](), true, "")
	return map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   k.Name, "type": "object", "additionalProperties": false,
		"required": []string{"apiVersion", "kind", "metadata", "spec"},
		"properties": map[string]any{
			"apiVersion": map[string]any{"const": resource.APIVersion}, "kind": map[string]any{"const": k.Name}, "metadata": metadata, "spec": spec,
		},
		"$defs": registry.Map(),
	}
}
