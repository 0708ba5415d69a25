package store

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Label is a name and a value. An empty value means the same as no label.
type Label struct{ Name, Value string }

// Labels is the identity of a series: sorted by name, each name once, no
// empty values, the metric's name among them as __name__.
type Labels []Label

// FromMap returns the labels of m, sorted, without those of empty value.
func FromMap(m map[string]string) Labels {
	ls := make(Labels, 0, len(m))
	for name, value := range m {
		if value != "" {
			ls = append(ls, Label{name, value})
		}
	}
	ls.Sort()
	return ls
}

// FromStrings returns the labels of name, value pairs, sorted.
// It panics when the number of strings is odd.
func FromStrings(pairs ...string) Labels {
	if len(pairs)%2 != 0 {
		panic("store.FromStrings: odd number of strings")
	}
	ls := make(Labels, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			ls = append(ls, Label{pairs[i], pairs[i+1]})
		}
	}
	ls.Sort()
	return ls
}

// Sort orders ls by name, in place.
func (ls Labels) Sort() {
	slices.SortFunc(ls, func(a, b Label) int { return cmp.Compare(a.Name, b.Name) })
}

// Get returns the value of a label, empty if there is none.
func (ls Labels) Get(name string) string {
	for _, l := range ls {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// Map returns ls as a map.
func (ls Labels) Map() map[string]string {
	m := make(map[string]string, len(ls))
	for _, l := range ls {
		m[l.Name] = l.Value
	}
	return m
}

// Compare orders label sets by their first differing label.
func (ls Labels) Compare(other Labels) int {
	return slices.CompareFunc(ls, other, func(a, b Label) int {
		if c := cmp.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return cmp.Compare(a.Value, b.Value)
	})
}

// Key returns a string that is equal for equal labels only.
func (ls Labels) Key() string { return string(ls.AppendKey(nil)) }

// AppendKey appends Key to dst.
func (ls Labels) AppendKey(dst []byte) []byte {
	for _, l := range ls {
		dst = strconv.AppendInt(dst, int64(len(l.Name)), 36)
		dst = append(dst, ':')
		dst = append(dst, l.Name...)
		dst = strconv.AppendInt(dst, int64(len(l.Value)), 36)
		dst = append(dst, ':')
		dst = append(dst, l.Value...)
	}
	return dst
}

// String returns ls as PromQL writes it: name{label="value"}.
func (ls Labels) String() string {
	var b strings.Builder
	b.WriteString(ls.Get(MetricName))
	b.WriteByte('{')
	sep := ""
	for _, l := range ls {
		if l.Name == MetricName {
			continue
		}
		fmt.Fprintf(&b, "%s%s=%q", sep, l.Name, l.Value)
		sep = ","
	}
	b.WriteByte('}')
	return b.String()
}

// MaxLabelsBytes is the most that the names and values of one series may take together.
const MaxLabelsBytes = 16 << 10

// Validate says why ls can't be stored: unsorted or doubled names, an empty
// or reserved name, no metric name, invalid UTF-8, more than MaxLabelsBytes.
func (ls Labels) Validate() error {
	named, size := false, 0
	for i, l := range ls {
		switch {
		case l.Name == "":
			return fmt.Errorf("series %s: empty label name", ls)
		case l.Name == WindowLabel || l.Name == EpochLabel:
			return fmt.Errorf("series %s: label name %q is reserved", ls, l.Name)
		case i > 0 && ls[i-1].Name >= l.Name:
			return fmt.Errorf("series %s: label %q is not in order", ls, l.Name)
		case l.Value == "":
			return fmt.Errorf("series %s: label %q is empty", ls, l.Name)
		case !utf8.ValidString(l.Value) || !utf8.ValidString(l.Name):
			return fmt.Errorf("series %s: label %q is not UTF-8", ls, l.Name)
		}
		named = named || l.Name == MetricName
		size += len(l.Name) + len(l.Value)
	}
	if size > MaxLabelsBytes {
		return fmt.Errorf("series %.100s…: labels of %d bytes, %d are allowed", ls.String(), size, MaxLabelsBytes)
	}
	if !named {
		return fmt.Errorf("series %s: no %s", ls, MetricName)
	}
	return nil
}
