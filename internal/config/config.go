// Package config reads the YAML file in which every flag of a command can be
// given, by its name with - or _ between words. A key that is no flag is an
// error, so that a typo does not go unnoticed.
package config

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v4"
)

// YAML is a kong.ConfigurationLoader.
func YAML(r io.Reader) (kong.Resolver, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("cannot read configuration: %w", err)
	}
	values := map[string]any{}
	if err := yaml.Unmarshal(text, &values); err != nil {
		return nil, fmt.Errorf("cannot read configuration: %w", err)
	}
	for name, v := range values {
		if dashed := strings.ReplaceAll(name, "_", "-"); dashed != name {
			delete(values, name)
			values[dashed] = v
		}
	}
	return &resolver{values}, nil
}

type resolver struct{ values map[string]any }

// Validate refuses keys that no flag of the whole command line has.
func (r *resolver) Validate(app *kong.Application) error {
	known := map[string]bool{}
	var walk func(n *kong.Node)
	walk = func(n *kong.Node) {
		for _, f := range n.Flags {
			known[f.Name] = true
		}
		for _, child := range n.Children {
			walk(child)
		}
	}
	walk(app.Node)
	for name := range r.values {
		if !known[name] {
			return fmt.Errorf("configuration: %q is not a flag of any command", name)
		}
	}
	return nil
}

// Resolve finds a flag's value.
func (r *resolver) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	switch v := r.values[flag.Name].(type) {
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			parts[i] = fmt.Sprint(item)
		}
		return strings.Join(parts, ","), nil
	case map[string]any:
		var parts []string
		for key, item := range v {
			parts = append(parts, fmt.Sprintf("%s=%v", key, item))
		}
		return strings.Join(parts, ";"), nil
	default:
		return v, nil
	}
}
