package logrule

import (
	"fmt"
	"strconv"
	"strings"
)

// Step is a step of a JSON path: the member of an object, or a place in an array.
type Step struct {
	Name string
	// Place counts from 0; -1 for a step by name.
	Place int
}

// ParseJSONPath reads the path of a JSONRule. A leading "$." or "$" is allowed.
func ParseJSONPath(path string) ([]Step, error) {
	rest := path
	if after, ok := strings.CutPrefix(rest, "$"); ok && (after == "" || after[0] == '.' || after[0] == '[') {
		rest = strings.TrimPrefix(after, ".")
	}
	var steps []Step
	for rest != "" {
		if rest[0] == '[' {
			step, after, err := parseBracket(rest)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", path, err)
			}
			steps = append(steps, step)
			rest = after
		} else {
			n := strings.IndexAny(rest, ".[")
			if n < 0 {
				n = len(rest)
			}
			if n == 0 {
				return nil, fmt.Errorf("%q has an empty name; write names between dots, such as a.b", path)
			}
			steps = append(steps, Step{Name: rest[:n], Place: -1})
			rest = rest[n:]
		}
		if after, ok := strings.CutPrefix(rest, "."); ok {
			if rest = after; rest == "" {
				return nil, fmt.Errorf("%q ends with a dot", path)
			}
		} else if rest != "" && rest[0] != '[' {
			return nil, fmt.Errorf("%q has %q after a bracket; write a dot between", path, rest)
		}
	}
	if len(steps) == 0 {
		return nil, fmt.Errorf("%q names no member; write one such as a.b or items[0]", path)
	}
	return steps, nil
}

func parseBracket(s string) (Step, string, error) {
	if len(s) > 1 && s[1] == '"' {
		q, err := strconv.QuotedPrefix(s[1:])
		if err != nil || !strings.HasPrefix(s[1+len(q):], "]") {
			return Step{}, "", fmt.Errorf("a name in brackets does not end with \"]")
		}
		name, err := strconv.Unquote(q)
		return Step{Name: name, Place: -1}, s[len(q)+2:], err
	}
	inside, after, ok := strings.Cut(s[1:], "]")
	n, err := strconv.Atoi(inside)
	if !ok || err != nil || n < 0 {
		return Step{}, "", fmt.Errorf("[%s is not a place; write [0] or [\"name\"]", inside)
	}
	return Step{Place: n}, after, nil
}
