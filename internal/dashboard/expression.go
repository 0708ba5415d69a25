package dashboard

import (
	"fmt"
	"regexp"
)

var placeholders = regexp.MustCompile(`\$(?:\{(\w+)\}|(\w+))`)

// Expression returns the PromQL of expr with its placeholders replaced: ${name}
// and $name by the value of the variable (.* for one that is not chosen), and
// what Grafana's dashboards use: $__interval by the step, $__rate_interval by
// four steps, at least a minute, $__range by the whole range. Other
// placeholders stay, so that parsing tells of them.
func Expression(expr string, variables []Variable, chosen map[string]string, stepMs, rangeMs int64) string {
	return placeholders.ReplaceAllStringFunc(expr, func(text string) string {
		m := placeholders.FindStringSubmatch(text)
		name := m[1] + m[2]
		switch name {
		case "__interval":
			return fmt.Sprintf("%dms", stepMs)
		case "__rate_interval":
			return fmt.Sprintf("%dms", max(4*stepMs, 60_000))
		case "__range":
			return fmt.Sprintf("%dms", rangeMs)
		}
		for _, v := range variables {
			if v.Name == name {
				if value, ok := chosen[name]; ok {
					return value
				}
				return ".*"
			}
		}
		return text
	})
}
