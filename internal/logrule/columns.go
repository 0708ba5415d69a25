package logrule

import (
	"regexp"
	"slices"
	"unicode/utf8"

	"github.com/pharos-stack/pharos/internal/fielderr"
)

// validateColumns checks the columns and returns their names.
func (s Spec) validateColumns(es *fielderr.Errors, at func(string, ...any) string) map[string]bool {
	seen := map[string]bool{}
	if len(s.Columns) > 50 {
		es.Add(at("columns"), "too_many", "has %d columns; at most 50", len(s.Columns))
	}
	for i, c := range s.Columns {
		if n := utf8.RuneCountInString(c.Name); n < 1 || n > 64 {
			es.Add(at("columns[%d].name", i), "bad_column", "%q has %d characters; give 1 to 64", c.Name, n)
		}
		if seen[c.Name] {
			es.Add(at("columns[%d].name", i), "bad_column", "%q is used twice; column names are unique", c.Name)
		}
		if slices.Contains(ReservedLabels, c.Name) {
			es.Add(at("columns[%d].name", i), "bad_column", "%q is a reserved label; choose another name, such as %q", c.Name, "c_"+c.Name)
		}
		seen[c.Name] = true
		c.validateRule(es, func(field string) string { return at("columns[%d]%s", i, field) })
		if c.Translate != nil {
			c.Translate.validate(es, at("columns[%d].translate", i))
		}
	}
	for i, c := range s.Columns {
		if c.From != "" {
			s.validateFrom(es, at("columns[%d].from", i), c)
		}
		if c.Formula != "" {
			s.validateFormula(es, at("columns[%d].formula", i), c)
		}
	}
	return seen
}

// validateFrom checks that the columns a column comes from exist and end.
func (s Spec) validateFrom(es *fielderr.Errors, field string, c Column) {
	for n := 1; c.From != ""; n++ {
		i := slices.IndexFunc(s.Columns, func(o Column) bool { return o.Name == c.From })
		switch {
		case i < 0:
			if n == 1 {
				es.Add(field, "bad_column", "%q is not one of the columns", c.From)
			}
			return
		case n > MaxDerived:
			es.Add(field, "bad_column", "%q comes from itself or from more than %d columns in a row; cut it out of the line", c.From, MaxDerived)
			return
		}
		c = s.Columns[i]
		if c.Formula != "" {
			es.Add(field, "bad_column", "%q is a formula; nothing can be cut out of it", c.Name)
			return
		}
	}
}

// validateFormula checks that a formula can be computed from columns that are cut.
func (s Spec) validateFormula(es *fielderr.Errors, field string, c Column) {
	if c.From != "" {
		es.Add(field, "bad_formula", "is made of columns by itself; remove from")
	}
	f, err := ParseFormula(c.Formula)
	if err != nil {
		es.Add(field, "bad_formula", "%v", err)
		return
	}
	for _, name := range f.Columns() {
		switch i := slices.IndexFunc(s.Columns, func(o Column) bool { return o.Name == name }); {
		case i < 0:
			es.Add(field, "bad_formula", "%q is not one of the columns", name)
		case s.Columns[i].Formula != "":
			es.Add(field, "bad_formula", "%q is a formula itself; write its columns", name)
		}
	}
}

// validateRule checks how the column is cut. at names a field below the column, such as ".split".
func (c Column) validateRule(es *fielderr.Errors, at func(field string) string) {
	kinds := 0
	delimiter := func(field, text string, required bool) {
		if d, err := Unescape(text); err != nil {
			es.Add(at(field), "bad_column", "%v", err)
		} else if d == "" && required {
			es.Add(at(field), "bad_column", "is empty; give the text between two fields, such as \",\"")
		}
	}
	if c.Split != nil {
		kinds++
		delimiter(".split.delimiter", c.Split.Delimiter, true)
	}
	if c.Between != nil {
		kinds++
		delimiter(".between.left", c.Between.Left, false)
		delimiter(".between.right", c.Between.Right, false)
		if c.Between.LeftIndex < 0 || c.Between.RightIndex < 0 {
			es.Add(at(".between"), "bad_column", "left_index and right_index count from 1")
		}
	}
	if c.Regex != nil {
		kinds++
		if re, err := regexp.Compile(c.Regex.Pattern); err != nil {
			es.Add(at(".regex.pattern"), "bad_regex", "%v", err)
		} else if c.Regex.Group < 0 || c.Regex.Group > re.NumSubexp() {
			es.Add(at(".regex.group"), "bad_regex", "%d: the pattern has %d groups", c.Regex.Group, re.NumSubexp())
		}
		if len(c.Regex.Pattern) > 2000 {
			es.Add(at(".regex.pattern"), "bad_regex", "has %d bytes; at most 2000", len(c.Regex.Pattern))
		}
	}
	if c.JSON != nil {
		kinds++
		if _, err := ParseJSONPath(c.JSON.Path); err != nil {
			es.Add(at(".json.path"), "bad_column", "%v", err)
		}
	}
	if c.KV != nil {
		kinds++
		if c.KV.Key == "" {
			es.Add(at(".kv.key"), "bad_column", "is empty; give the key whose value is wanted, such as cost")
		}
		delimiter(".kv.separator", c.KV.Separator, false)
		delimiter(".kv.assign", c.KV.Assign, false)
	}
	if c.Fixed != nil {
		kinds++
		if c.Fixed.Offset < 0 || c.Fixed.Length < 1 {
			es.Add(at(".fixed"), "bad_column", "offset %d, length %d; use an offset from 0 and a length from 1", c.Fixed.Offset, c.Fixed.Length)
		}
	}
	if c.Line {
		kinds++
	}
	if c.Formula != "" {
		kinds++
	}
	if kinds != 1 {
		es.Add(at(""), "bad_column", "column %q has %d of split, between, regex, json, kv, fixed, line and formula; give exactly one", c.Name, kinds)
	}
}
