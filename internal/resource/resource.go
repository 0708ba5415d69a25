// Package resource keeps the definitions people make, such as log monitors,
// alarm rules and channels, in one table: a kind, a workspace, a name and a
// spec. HTTP API, command line and console change them only through Store, so
// that validation, versions, secrets and the audit log hold for all alike.
package resource

import (
	"encoding/json"
	"time"
)

// APIVersion of all resources.
const APIVersion = "pharos/v1"

// Object is a resource as written in YAML and returned by the API.
type Object struct {
	APIVersion string          `json:"apiVersion" yaml:"apiVersion"`
	Kind       string          `json:"kind" yaml:"kind"`
	Metadata   Metadata        `json:"metadata" yaml:"metadata"`
	Spec       json.RawMessage `json:"spec" yaml:"spec"`
}

// Metadata identifies a resource.
type Metadata struct {
	// ID is opaque and immutable, such as mon_4f….
	ID string `json:"id,omitempty"`
	// Name is unique per kind and workspace, immutable; a monitor's name is its key in series.
	Name      string `json:"name"`
	Workspace string `json:"workspace,omitempty"`
	// Folder is the name of the Folder the resource stands in. Where it is given
	// to be stored, empty keeps the place and TopFolder is none. It is no part
	// of what Version counts: moving changes nothing for who uses the resource.
	Folder string `json:"folder,omitempty"`
	// Version counts changes; an update must name the version it changes.
	Version   int64     `json:"version,omitempty"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	CreatedBy string    `json:"created_by,omitempty"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`
	UpdatedBy string    `json:"updated_by,omitempty"`
}
