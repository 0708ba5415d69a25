package resource

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/channel"
	"github.com/pharos-stack/pharos/internal/dashboard"
	"github.com/pharos-stack/pharos/internal/fielderr"
	"github.com/pharos-stack/pharos/internal/logrule"
)

// The names of the built-in kinds.
const (
	KindLogMonitor = "LogMonitor"
	KindChannel    = "Channel"
	KindAlarmRule  = "AlarmRule"
	KindDashboard  = "Dashboard"
	KindFolder     = "Folder"
	KindMasking    = "Masking"
)

// Builtin returns the kinds of the product. Compile tells whether a monitor's
// spec can be turned into a running pipeline (internal/logpipe); nil leaves
// that question out, which suits programs that only read.
func Builtin(compile func(logrule.Spec) error) []Kind {
	folder := NewKind[FolderSpec](KindFolder, "fld_")
	folder.Refs = func(spec any) []Ref {
		if parent := spec.(FolderSpec).Parent; parent != "" {
			return []Ref{{Field: "spec.parent", Kind: KindFolder, Name: parent}}
		}
		return nil
	}
	folder.Among = checkFolder
	monitor := NewKind[logrule.Spec](KindLogMonitor, "mon_")
	monitor.Filed = true
	monitor.Names, monitor.NameRule = keyNames, "it becomes part of series names: use a lower-case letter, then lower-case letters, digits or _, at most 63"
	if compile != nil {
		monitor.Check = func(_ context.Context, _ Lookup, _ string, spec any) error {
			if err := compile(spec.(logrule.Spec)); err != nil {
				return fielderr.Errors{{Field: "spec", Code: "not_compilable", Message: err.Error()}}
			}
			return nil
		}
	}
	monitor.Change = keepType
	monitor.Refs = func(spec any) []Ref {
		m := spec.(logrule.Spec).Match
		if m == nil {
			return nil
		}
		var refs []Ref
		for field, names := range map[string][]string{"channels": m.Channels, "sms_channels": m.SMSChannels} {
			for i, name := range names {
				refs = append(refs, Ref{Field: fmt.Sprintf("spec.match.%s[%d]", field, i), Kind: KindChannel, Name: name})
			}
		}
		return refs
	}
	rule := NewKind[alarmrule.Spec](KindAlarmRule, "rul_")
	rule.Refs = func(spec any) []Ref {
		var refs []Ref
		s := spec.(alarmrule.Spec)
		for path, c := range s.Each("spec") {
			if c.Monitor != "" {
				refs = append(refs, Ref{Field: path + ".monitor", Kind: KindLogMonitor, Name: c.Monitor})
			}
		}
		for i, name := range s.Channels {
			refs = append(refs, Ref{Field: fmt.Sprintf("spec.channels[%d]", i), Kind: KindChannel, Name: name})
		}
		return refs
	}
	rule.Check = func(_ context.Context, look Lookup, _ string, spec any) error {
		return checkRule(look, spec.(alarmrule.Spec))
	}
	notice := NewKind[channel.Spec](KindChannel, "chn_")
	notice.Change = keepDestination
	return append([]Kind{NewKind[logrule.MaskingPolicy](KindMasking, "msk_"), folder, monitor, notice, rule, dashboardKind()}, receiverKinds()...)
}

func dashboardKind() Kind {
	kind := NewKind[dashboard.Spec](KindDashboard, "dsh_")
	kind.Refs = func(spec any) []Ref {
		var refs []Ref
		for i, r := range spec.(dashboard.Spec).Reports {
			for j, src := range r.Sources {
				if src.Monitor != "" {
					refs = append(refs, Ref{Field: fmt.Sprintf("spec.reports[%d].sources[%d].monitor", i, j), Kind: KindLogMonitor, Name: src.Monitor})
				}
			}
		}
		return refs
	}
	kind.Check = func(_ context.Context, look Lookup, _ string, spec any) error {
		s := spec.(dashboard.Spec)
		var es fielderr.Errors
		promql := parser.NewParser(parser.Options{})
		for i, r := range s.Reports {
			for j, src := range r.Sources {
				if src.Expr == "" {
					continue
				}
				if _, err := promql.ParseExpr(dashboard.Expression(src.Expr, s.Variables, nil, 60_000, 3600_000)); err != nil {
					es.Add(fmt.Sprintf("spec.reports[%d].sources[%d].expr", i, j), "bad_expr", "%v", err)
				}
			}
		}
		if err := es.Err(); err != nil {
			return err
		}
		return s.CheckMonitors("spec", func(name string) (logrule.Spec, error) {
			found, err := look(KindLogMonitor, name)
			if err != nil {
				return logrule.Spec{}, err
			}
			return found.(logrule.Spec), nil
		})
	}
	return kind
}

// keepType refuses to make a monitor of another type: its series would change
// their meaning under the rules and charts that use them.
func keepType(old, next any, _ func(string) bool) error {
	a, b := old.(logrule.Spec).Type, next.(logrule.Spec).Type
	if a == b {
		return nil
	}
	return fielderr.Errors{{Field: "spec.type", Code: "type_immutable", Message: fmt.Sprintf("is %s for good and can't become %s; make a copy of the monitor", a, b)}}
}

// keepDestination refuses to send a kept secret to another place, or in the
// clear: who may edit a channel must not learn its secrets that way.
func keepDestination(old, next any, kept func(string) bool) error {
	from, _ := old.(channel.Spec).Guarded()
	to, secrets := next.(channel.Spec).Guarded()
	var es fielderr.Errors
	for _, path := range slices.Sorted(maps.Keys(secrets)) {
		if from != to && secrets[path] == "" && kept(path) {
			es.Add("spec."+path, "secret_required", "give it again: it would be sent to another place than before")
		}
	}
	return es.Err()
}
