package query

import (
	"regexp"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/pharos-stack/pharos/compute/store"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

const (
	tenantLabel    = "tenant"
	workspaceLabel = "workspace"
)

// hidden tells whether a label is kept from callers.
func hidden(name string) bool {
	return name == tenantLabel || name == workspaceLabel || name == store.WindowLabel
}

// scopeMatcher admits the series of the scope's workspace and those of none.
// It is added to what the caller asks, so it can be narrowed but not widened. Without a
// workspace only series of none are seen.
func scopeMatcher(scope *pharosv1.Scope) store.Matcher {
	return store.Matcher{Type: store.MatchRegex, Name: workspaceLabel, Value: regexp.QuoteMeta(scope.GetWorkspace()) + "|"}
}

// scoped turns PromQL matchers into the store's, with the scope among them. ok is false when
// nothing can match.
func scoped(scope *pharosv1.Scope, matchers []*labels.Matcher) (out []store.Matcher, ok bool) {
	out = make([]store.Matcher, 0, len(matchers)+1)
	for _, m := range matchers {
		if m.Name == store.WindowLabel {
			// No series has this label as far as callers are concerned.
			if !m.Matches("") {
				return nil, false
			}
			continue
		}
		out = append(out, store.Matcher{Type: matchTypes[m.Type], Name: m.Name, Value: m.Value})
	}
	return append(out, scopeMatcher(scope)), true
}

var matchTypes = map[labels.MatchType]store.MatchType{
	labels.MatchEqual:     store.MatchEqual,
	labels.MatchNotEqual:  store.MatchNotEqual,
	labels.MatchRegexp:    store.MatchRegex,
	labels.MatchNotRegexp: store.MatchNotRegex,
}

// visible returns ls without the labels kept from callers.
func visible(ls store.Labels) store.Labels {
	if !slices.ContainsFunc(ls, func(l store.Label) bool { return hidden(l.Name) }) {
		return ls
	}
	out := make(store.Labels, 0, len(ls)-1)
	for _, l := range ls {
		if !hidden(l.Name) {
			out = append(out, l)
		}
	}
	return out
}
