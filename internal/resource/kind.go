package resource

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/pharos-stack/pharos/internal/fielderr"
)

// Kind describes one kind of resource to the Store. Make it with NewKind.
type Kind struct {
	// Name as written in the kind field, such as LogMonitor.
	Name string
	// Prefix of ids, such as "mon_".
	Prefix string
	// Names matches allowed names; NameRule tells people the rule.
	Names    *regexp.Regexp
	NameRule string
	// NameCode is the code of the error for another name. Default bad_name.
	NameCode string
	// Type of the spec.
	Type reflect.Type
	// Refs lists the resources of the same workspace that a spec needs.
	Refs func(spec any) []Ref
	// Check looks at what Validate can't know, such as whether the figure of
	// another resource exists. It returns fielderr.Errors.
	Check func(ctx context.Context, look Lookup, name string, spec any) error
	// Change refuses an update that must not be made, such as one that would
	// carry a kept secret to another place; kept tells of a path whether its
	// secret is kept, and next is without those. It returns fielderr.Errors.
	Change func(old, next any, kept func(path string) bool) error

	// Among checks a spec beside the others of its kind in the workspace, by
	// name. It returns fielderr.Errors.
	Among func(name string, spec any, others map[string]any) error
	// Release says what becomes of a spec when gone, which it refers to, is
	// deleted. Nil refuses.
	Release func(spec any, gone Ref) (next any, how Release)
	// Filed kinds can stand in folders.
	Filed bool

	prepare func(raw json.RawMessage) (any, error)
}

// Ref is a reference from a spec to another resource.
type Ref struct {
	// Field of the spec that holds the reference, such as spec.channels[0].
	Field, Kind, Name string
}

// Lookup returns the spec of a resource of the workspace, or ErrNotFound.
type Lookup func(kind, name string) (any, error)

// Spec is what a kind's spec type can do; the methods work on values.
type Spec[T any] interface {
	WithDefaults() T
	// Validate returns fielderr.Errors with paths below prefix.
	Validate(prefix string) error
}

var (
	plainNames = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{M}\p{N}_.-]{0,62}$`)
	keyNames   = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
)

// NewKind returns a kind whose specs are of type T. Names are letters, digits,
// dots, hyphens and underscores unless the caller sets Names.
func NewKind[T Spec[T]](name, prefix string) Kind {
	return Kind{
		Name: name, Prefix: prefix, Type: reflect.TypeFor[T](),
		Names: plainNames, NameRule: "use a letter or digit, then letters, digits, dots, hyphens or underscores, at most 63",
		prepare: func(raw json.RawMessage) (any, error) {
			var spec T
			if err := json.Unmarshal(raw, &spec); err != nil {
				return nil, fielderr.Errors{{Field: "spec", Code: "bad_value", Message: err.Error()}}
			}
			return spec.WithDefaults(), nil
		},
	}
}

// SpecOf returns the object's spec as a T.
func SpecOf[T any](o Object) (T, error) {
	var spec T
	if err := json.Unmarshal(o.Spec, &spec); err != nil {
		return spec, fmt.Errorf("cannot read spec of %s %q: %w", o.Kind, o.Metadata.Name, err)
	}
	return spec, nil
}

// nameKey is what names are compared by: case-insensitive on NFC text.
func nameKey(name string) string { return strings.ToLower(norm.NFC.String(name)) }

// Kinds knows kinds by name and reads resources strictly.
type Kinds []Kind

// Find returns the kind called name.
func (ks Kinds) Find(name string) (Kind, bool) {
	for _, k := range ks {
		if k.Name == name {
			return k, true
		}
	}
	return Kind{}, false
}

func (ks Kinds) names() string {
	names := make([]string, len(ks))
	for i, k := range ks {
		names[i] = k.Name
	}
	return strings.Join(names, ", ")
}

// Normal returns o's spec as it would be stored: with its defaults.
func (ks Kinds) Normal(o Object) (json.RawMessage, error) {
	k, ok := ks.Find(o.Kind)
	if !ok {
		return nil, fmt.Errorf("cannot read %q: kind %s is not known", o.Metadata.Name, o.Kind)
	}
	spec, err := k.prepare(o.Spec)
	if err != nil {
		return nil, err
	}
	open, _ := takeSecrets(spec)
	return hideSecrets(open)
}
