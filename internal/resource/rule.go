package resource

import (
	"slices"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/fielderr"
	"github.com/pharos-stack/pharos/internal/logrule"
)

// checkRule checks what a rule says of its monitors, and its expressions.
func checkRule(look Lookup, s alarmrule.Spec) error {
	var es fielderr.Errors
	promql := parser.NewParser(parser.Options{})
	for path, c := range s.Each("spec") {
		at := func(field string) string { return path + "." + field }
		if c.Expr != "" {
			expr, err := promql.ParseExpr(c.Expr)
			if err != nil {
				es.Add(at("expr"), "bad_expr", "%v", err)
			} else if t := expr.Type(); t != parser.ValueTypeVector && t != parser.ValueTypeScalar {
				es.Add(at("expr"), "bad_expr", "gives a %s; it must give one number per series", t)
			}
			continue
		}
		found, err := look(KindLogMonitor, c.Monitor)
		if err != nil {
			return err
		}
		m := found.(logrule.Spec)
		if m.Type.BySecond() {
			es.Add(at("monitor"), "alarm_not_supported", "monitor %q is of type %s, which has no alarms; use one by the minute", c.Monitor, m.Type)
		}
		switch {
		case c.Method == alarmrule.Silence:
			if c.Figure != "" || c.Total || len(c.Keys)+len(c.ExcludeKeys) > 0 {
				es.Add(at("method"), "bad_condition", "silence is of the whole monitor; leave figure, total and keys out")
			}
		case c.Figure == alarmrule.Completeness:
			if c.Total || len(c.Keys)+len(c.ExcludeKeys) > 0 {
				es.Add(at("figure"), "bad_condition", "completeness is of the whole monitor; leave total and keys out")
			}
			if !slices.Contains([]alarmrule.Method{alarmrule.Current, alarmrule.AvgN, alarmrule.MinN, alarmrule.MaxN}, c.Method) {
				es.Add(at("method"), "bad_method", "%s does not fit completeness; use current, avg_n, min_n or max_n", c.Method)
			}
		case m.Type == logrule.Match:
			es.Add(at("monitor"), "alarm_of_its_own", "monitor %q is of type match, which has its own alarm; set it there, or use method silence", c.Monitor)
		default:
			checkFigure(at, c, m, &es)
		}
	}
	return es.Err()
}

// checkFigure checks what a condition says of a monitor's figure and keys.
func checkFigure(at func(string) string, c alarmrule.Condition, m logrule.Spec, es *fielderr.Errors) {
	switch {
	case c.Method == alarmrule.Items && m.Type != logrule.RowTop && m.Type != logrule.MinuteTop:
		es.Add(at("method"), "bad_method", "items is for monitors of types row_top and minute_top; monitor %q is of type %s", c.Monitor, m.Type)
		return
	case c.Method == alarmrule.Items:
		for _, class := range alarmrule.Classes() {
			if limit, ok := c.Limit(class); ok && c.Op == alarmrule.GT && limit >= float64(m.TopN) {
				es.Add(at("threshold"), "never_fires", "monitor %q keeps %d items, so that more than %v never count; give less, or let it keep more", c.Monitor, m.TopN, limit)
				break
			}
		}
		if c.Figure != "" || c.Total || len(c.Keys)+len(c.ExcludeKeys) > 0 {
			es.Add(at("figure"), "bad_condition", "items are of the whole list; leave figure, total and keys out")
		}
		return
	case m.Type == logrule.MinuteTop:
		es.Add(at("method"), "bad_method", "monitor %q keeps the largest keys of each minute: use items (how many exceed a value) or silence, not %s", c.Monitor, c.Method)
		return
	}
	checkStatistic(at, c, m, es)
	if window := m.Window.D(); c.Method.Spans() && window > time.Minute && time.Duration(c.N)*time.Minute%window != 0 {
		es.Add(at("n"), "bad_n", "%d minutes are no multiple of the monitor's window of %s", c.N, window)
	}
	if c.Total && len(m.GroupBy) == 0 {
		es.Add(at("total"), "bad_condition", "monitor %q has no keys; leave total out", c.Monitor)
	}
	for field, filter := range map[string]map[string][]string{"keys": c.Keys, "exclude_keys": c.ExcludeKeys} {
		for key := range filter {
			if !slices.Contains(m.GroupBy, key) {
				es.Add(at(field+"."+key), "bad_filter", "monitor %q does not group by %q; it groups by %v", c.Monitor, key, m.GroupBy)
			}
		}
	}
}

func figureNames(m logrule.Spec) []string {
	names := make([]string, len(m.Statistics))
	for i, st := range m.Statistics {
		names[i] = st.Name
	}
	return names
}

// checkStatistic checks that a figure is there and fits the method.
func checkStatistic(at func(string) string, c alarmrule.Condition, m logrule.Spec, es *fielderr.Errors) {
	i := slices.IndexFunc(m.Statistics, func(st logrule.Statistic) bool { return c.Figure == "" || st.Name == c.Figure })
	if i < 0 {
		es.Add(at("figure"), "bad_figure", "monitor %q has no figure %q; it has %v and completeness", c.Monitor, c.Figure, figureNames(m))
		return
	}
	stat := m.Statistics[i]
	if c.Method.Sums() && !stat.Kind.Additive() {
		es.Add(at("method"), "method_not_additive", "%s can't be added up over minutes (figure %q is of kind %s); use an average", c.Method, stat.Name, stat.Kind)
	}
	if _, _, _, parts := stat.Parts(); c.Method == alarmrule.BurnRate && (!parts || stat.Kind == logrule.Avg) {
		es.Add(at("figure"), "bad_figure", "burn_rate needs a success_rate, or a ratio of errors to all; figure %q is of kind %s", stat.Name, stat.Kind)
	}
}
