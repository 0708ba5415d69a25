package logrule

import (
	"slices"
	"unicode/utf8"

	"github.com/pharos-stack/pharos/internal/fielderr"
)

// MaskingPolicy is the spec of a Masking resource: what of lines must not leave
// any host, whatever the monitors of the workspace say (spec 05 §16.1). Several
// of a workspace add up.
type MaskingPolicy struct {
	Title string `json:"title" yaml:"title" minLength:"1" maxLength:"64" doc:"Name people see"`
	// Always are built-in masks that no monitor can switch off.
	Always  []Mask        `json:"always,omitempty" yaml:"always,omitempty" maxItems:"4" doc:"Built-in masks that monitors can't switch off: mobile, id_card, bank_card, email"`
	Replace []Replacement `json:"replace,omitempty" yaml:"replace,omitempty" maxItems:"10" doc:"Replacements that come before those of monitors"`
}

// WithDefaults returns p: it has none.
func (p MaskingPolicy) WithDefaults() MaskingPolicy { return p }

// Validate checks p; every bad field is in the returned fielderr.Errors, with
// paths below prefix.
func (p MaskingPolicy) Validate(prefix string) error {
	var es fielderr.Errors
	if n := utf8.RuneCountInString(p.Title); n < 1 || n > 64 {
		es.Add(prefix+".title", "bad_title", "has %d characters; give 1 to 64", n)
	}
	if len(p.Always)+len(p.Replace) == 0 {
		es.Add(prefix, "masks_required", "says nothing; give always or replace")
	}
	validateMasks(&es, prefix+".always", p.Always)
	validateReplacements(&es, prefix+".replace", p.Replace, MaxMasks)
	return es.Err()
}

// Under returns what a monitor masks where policies hold.
func (m Masking) Under(policies []MaskingPolicy) Masking {
	out := Masking{Without: slices.Clone(m.Without), Enforced: true}
	for _, p := range policies {
		out.Without = slices.DeleteFunc(out.Without, func(name Mask) bool { return slices.Contains(p.Always, name) })
		out.Replace = append(out.Replace, p.Replace...)
	}
	out.Replace = append(out.Replace, m.Replace...)
	if len(out.Without) == 0 {
		out.Without = nil
	}
	return out
}
