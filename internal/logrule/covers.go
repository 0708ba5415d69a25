package logrule

import (
	"cmp"
	"slices"
	"strings"
)

// DefaultApp covers every agent.
const DefaultApp = "default"

// DefaultEnv is the environment of agents that name none, and the one that
// monitors read unless they say otherwise.
const DefaultEnv = "prod"

// Covers tells whether an agent is one of the monitor's app and within its
// scope: exact names, and all lists that are given must hold the agent.
func (s Spec) Covers(hostname, ip string, labels map[string]string) bool {
	within := func(list []string, values ...string) bool {
		return len(list) == 0 || slices.ContainsFunc(values, func(v string) bool { return v != "" && slices.Contains(list, v) })
	}
	envs := s.Scope.Envs
	if len(envs) == 0 {
		envs = []string{DefaultEnv}
	}
	return RunsApp(labels, s.App) &&
		slices.Contains(envs, cmp.Or(labels["env"], DefaultEnv)) &&
		within(s.Scope.AZs, labels["az"]) &&
		within(s.Scope.Cells, labels["cell"]) &&
		within(s.Scope.Instances, hostname, ip)
}

// RunsApp tells whether a host with the labels runs an app: its label app
// names it, alone or in a comma-separated list.
func RunsApp(labels map[string]string, app string) bool {
	if app == DefaultApp || app == "" {
		return true
	}
	for name := range strings.SplitSeq(labels["app"], ",") {
		if strings.TrimSpace(name) == app {
			return true
		}
	}
	return false
}
