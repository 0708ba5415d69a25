package logrule

import (
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// DateGrace is how long files of the date before are still looked for after
// the date in a path has changed (spec 05 LOG-4).
const DateGrace = 10 * time.Minute

var (
	placeholders = regexp.MustCompile(`\{(app|date:[^{}/]*)\}`)
	dateLayout   = regexp.MustCompile(`^[-._]*(?:(?:yyyy|MM|dd|HH)[-._]*)+$`)
	datePart     = regexp.MustCompile(`yyyy|MM|dd|HH`)
)

// goDate are the parts of dates in Go's layouts; their lengths are the same.
var goDate = map[string]string{"yyyy": "2006", "MM": "01", "dd": "02", "HH": "15"}

// PathsAt returns the patterns of the files that are written at a time: with
// {app} as the monitor's app, and {date:…} as the date in the log's zone, loc
// if the rule names none. Shortly after a date has changed the one before is
// among them.
func (s Spec) PathsAt(now time.Time, loc *time.Location) []string {
	if zone, err := time.LoadLocation(s.Time.Timezone); err == nil && s.Time.Timezone != "" {
		loc = zone
	}
	var out []string
	for _, p := range s.Paths {
		p = s.withApp(p)
		for _, at := range []time.Time{now, now.Add(-DateGrace)} {
			if dated := ExpandDate(p, at.In(loc)); !slices.Contains(out, dated) {
				out = append(out, dated)
			}
		}
	}
	return out
}

// ExpandDate returns a path with its dates as those of at, in at's zone.
func ExpandDate(p string, at time.Time) string {
	return eachDate(p, func(part string) string { return at.Format(goDate[part]) })
}

// AnyDate returns one of the monitor's paths as a pattern of files of whatever date.
func (s Spec) AnyDate(p string) string {
	return eachDate(s.withApp(p), func(part string) string { return strings.Repeat("[0-9]", len(part)) })
}

// MatchesPath reports whether a file is one of the monitor's, of whatever date.
func (s Spec) MatchesPath(name string) bool {
	return slices.ContainsFunc(s.Paths, func(p string) bool {
		ok, err := filepath.Match(s.AnyDate(p), name)
		return ok && err == nil
	})
}

// Dated reports whether a path has a date.
func (s Spec) Dated() bool {
	return slices.ContainsFunc(s.Paths, func(p string) bool { return strings.Contains(p, "{date:") })
}

func (s Spec) withApp(p string) string { return strings.ReplaceAll(p, "{app}", s.App) }

func eachDate(p string, write func(part string) string) string {
	return placeholders.ReplaceAllStringFunc(p, func(text string) string {
		layout, ok := strings.CutPrefix(text, "{date:")
		if !ok {
			return text
		}
		return datePart.ReplaceAllStringFunc(strings.TrimSuffix(layout, "}"), write)
	})
}

// checkPath says what is wrong with a path; empty for a good one.
func (s Spec) checkPath(p string) string {
	switch {
	case !strings.HasPrefix(p, "/"):
		return "is not absolute; begin with /"
	case len(p) > 512:
		return fmt.Sprintf("has %d bytes; at most 512", len(p))
	case strings.Contains(p, "**"):
		return "contains **, which is not allowed; use * inside one segment"
	case strings.ContainsFunc(p, unicode.IsControl):
		return "contains a control character"
	case slices.Contains(strings.Split(p, "/"), ".."):
		return "contains ..; write the path without it"
	case strings.Contains(p, "{app}") && (s.App == "" || s.App == DefaultApp):
		return "contains {app}, but the monitor is of no app; name the app, or write the path without it"
	}
	for _, m := range placeholders.FindAllStringSubmatch(p, -1) {
		if layout, ok := strings.CutPrefix(m[1], "date:"); ok && !dateLayout.MatchString(layout) {
			return fmt.Sprintf("has the date %q; use yyyy, MM, dd and HH with - . or _ between, such as {date:yyyy-MM-dd}", layout)
		}
	}
	if strings.Contains(ExpandDate(p, time.Time{}), "{date:") {
		return "has a date that is not closed or has a / in it; give each segment its own, such as {date:yyyy}/{date:MM}"
	}
	if _, err := path.Match(s.AnyDate(p), ""); err != nil {
		return "is not a valid pattern; close every ["
	}
	return ""
}
