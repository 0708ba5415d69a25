package logpipe

import (
	"errors"
	"fmt"

	"github.com/pharos-stack/pharos/internal/logrule"
)

// cutKind is the way a value is cut out of a line.
type cutKind uint8

const (
	cutSplit cutKind = iota
	cutBetween
	cutRegex
	cutLine
	cutJSON
	cutKV
	cutFixed
	cutFormula
)

// cutRule is one way to cut a value. Equal rules of different tasks share
// their work, so it is comparable.
type cutRule struct {
	kind cutKind
	enc  encoding
	// text is the delimiter, the left marker, the pattern, the path or the key;
	// right the right marker or what stands between key and value; separator
	// stands between pairs. All are unescaped and UTF-8.
	text, right, separator string
	// index is the field (from 0, negative from the end), the count of the left
	// marker, the group or the offset; rightIndex the count of the right marker
	// or the length.
	index, rightIndex int
}

// column is a column of a program.
type column struct {
	rule      cutRule
	from      int         // column it is cut out of, -1: the line
	translate *translator // nil: the value stays as it is
	formula   *logrule.Formula
	operands  []int // columns of the formula
}

// compileColumns compiles the columns of a rule; index has their places by name.
func compileColumns(spec []logrule.Column, enc encoding) (columns []column, index map[string]int, err error) {
	index = make(map[string]int, len(spec))
	for i, c := range spec {
		index[c.Name] = i
	}
	for _, c := range spec {
		col := column{from: -1}
		if col.rule, err = compileCut(c, enc); err != nil {
			return nil, nil, fmt.Errorf("cannot compile column %q: %w", c.Name, err)
		}
		if c.Formula != "" {
			if col.formula, err = logrule.ParseFormula(c.Formula); err != nil {
				return nil, nil, fmt.Errorf("cannot compile column %q: %w", c.Name, err)
			}
			for _, name := range col.formula.Columns() {
				operand, ok := index[name]
				if !ok || spec[operand].Formula != "" {
					return nil, nil, fmt.Errorf("cannot compile column %q: %q is not a column that is cut", c.Name, name)
				}
				col.operands = append(col.operands, operand)
			}
		}
		if c.From != "" {
			from, ok := index[c.From]
			if !ok {
				return nil, nil, fmt.Errorf("cannot compile column %q: %q is not one of the columns", c.Name, c.From)
			}
			col.from = from
		}
		if c.Translate != nil {
			if col.translate, err = newTranslator(*c.Translate); err != nil {
				return nil, nil, fmt.Errorf("cannot compile the translation of column %q: %w", c.Name, err)
			}
		}
		columns = append(columns, col)
	}
	for i := range columns {
		for at, n := columns[i].from, 0; at >= 0; at, n = columns[at].from, n+1 {
			if n >= logrule.MaxDerived {
				return nil, nil, fmt.Errorf("cannot compile column %q: it comes from more than %d columns in a row", spec[i].Name, logrule.MaxDerived)
			}
		}
	}
	return columns, index, nil
}

func compileCut(c logrule.Column, enc encoding) (cutRule, error) {
	r := cutRule{enc: enc}
	var err error
	switch {
	case c.Split != nil:
		r.kind, r.index = cutSplit, c.Split.Index
		if r.text, err = logrule.Unescape(c.Split.Delimiter); err != nil {
			return r, err
		}
		if r.text == "" {
			return r, errors.New("the delimiter is empty")
		}
	case c.Between != nil:
		r.kind, r.index, r.rightIndex = cutBetween, max(1, c.Between.LeftIndex), max(1, c.Between.RightIndex)
		if r.text, err = logrule.Unescape(c.Between.Left); err != nil {
			return r, err
		}
		if r.right, err = logrule.Unescape(c.Between.Right); err != nil {
			return r, err
		}
	case c.Regex != nil:
		r.kind, r.text, r.index = cutRegex, c.Regex.Pattern, c.Regex.Group
		m, err := compileMatcher(r.text)
		if err != nil {
			return r, err
		}
		if r.index < 0 || r.index > m.groups() {
			return r, errors.New("the pattern has no such group")
		}
	case c.JSON != nil:
		r.kind, r.text = cutJSON, c.JSON.Path
		if _, err = logrule.ParseJSONPath(r.text); err != nil {
			return r, err
		}
	case c.KV != nil:
		r.kind, r.text = cutKV, c.KV.Key
		if r.right, err = logrule.Unescape(c.KV.Assign); err != nil {
			return r, err
		}
		if r.separator, err = logrule.Unescape(c.KV.Separator); err != nil {
			return r, err
		}
		if r.right == "" {
			r.right = "="
		}
	case c.Fixed != nil:
		r.kind, r.index, r.rightIndex = cutFixed, c.Fixed.Offset, c.Fixed.Length
	case c.Line:
		r.kind = cutLine
	case c.Formula != "":
		r.kind, r.text = cutFormula, c.Formula
	default:
		return r, errors.New("none of split, between, regex, json, kv, fixed, line and formula is given")
	}
	return r, nil
}

// marker is a delimiter or marker in the forms it has in UTF-8 and GB18030
// files.
type marker struct {
	utf8, gb string
	// loose says that gb could be found in the middle of a character of
	// GB18030, so that a line has to be walked by characters.
	loose bool
}

func newMarker(text string) marker {
	m := marker{utf8: text, gb: toGB(text)}
	if m.gb != "" {
		// The second to fourth bytes of characters are 0x30 to 0x39, 0x40 to
		// 0x7E and 0x80 to 0xFE; what begins with another byte begins at a
		// character wherever it is found.
		c := m.gb[0]
		m.loose = c >= '0' && c <= '9' || c >= 0x40 && c != 0x7F
	}
	return m
}

// find returns where the marker first stands in b at or after from, which is
// the beginning of a character, and how long it is; -1 if nowhere.
func (m *marker) find(b []byte, from int, gb bool) (at, size int) {
	if !gb {
		return index(b, from, m.utf8), len(m.utf8)
	}
	if !m.loose {
		return index(b, from, m.gb), len(m.gb)
	}
	i := from // always at the beginning of a character
	for {
		at := index(b, i, m.gb)
		if at < 0 {
			return -1, 0
		}
		for i < at {
			if b[i] < 0x80 {
				i++
				continue
			}
			i += gbStep(b[i:])
		}
		if i == at {
			return at, len(m.gb)
		}
	}
}
