package monitors

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pharos-stack/pharos/internal/fielderr"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/resource"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// checkScope returns warnings about names in the scope that no agent has, and an
// error if no known agent is in scope at all, unless force is set (spec 05
// LOG-11): names may be those of machines to come. Without any agent, or without
// an answer of register, nothing can be said.
func (m *Monitors) checkScope(ctx context.Context, o resource.Object, force bool) ([]string, error) {
	spec, err := resource.SpecOf[logrule.Spec](o)
	if err != nil || len(spec.Scope.AZs)+len(spec.Scope.Cells)+len(spec.Scope.Instances)+len(spec.Scope.Envs) == 0 {
		return nil, nil // what can't be read is told with the rest
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	answer, err := m.Register.ListAgents(ctx, &pharosv1.ListAgentsRequest{})
	if err != nil || len(answer.GetAgents()) == 0 {
		return nil, nil
	}
	known := map[string]map[string]bool{"azs": {}, "cells": {}, "instances": {}, "envs": {logrule.DefaultEnv: true}}
	covered := 0
	for _, a := range answer.GetAgents() {
		h := a.GetHost()
		known["azs"][h.GetLabels()["az"]] = true
		known["cells"][h.GetLabels()["cell"]] = true
		known["envs"][h.GetLabels()["env"]] = true
		known["instances"][h.GetHostname()], known["instances"][h.GetIp()] = true, true
		if spec.Covers(h.GetHostname(), h.GetIp(), h.GetLabels()) {
			covered++
		}
	}
	var warnings []string
	for _, list := range []struct {
		field string
		names []string
	}{{"azs", spec.Scope.AZs}, {"cells", spec.Scope.Cells}, {"instances", spec.Scope.Instances}, {"envs", spec.Scope.Envs}} {
		unknown := slices.DeleteFunc(slices.Clone(list.names), func(name string) bool { return known[list.field][name] })
		if len(unknown) > 0 {
			warnings = append(warnings, fmt.Sprintf("spec.scope.%s: no agent has %s yet", list.field, strings.Join(unknown, ", ")))
		}
	}
	if covered == 0 && !force {
		return nil, fielderr.Errors{{Field: "spec.scope", Code: "scope_empty",
			Message: fmt.Sprintf("none of the %d agents is in scope; check the names, or save it all the same with force=true", len(answer.GetAgents()))}}
	}
	return warnings, nil
}
