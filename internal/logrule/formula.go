package logrule

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxFormula is the longest formula in bytes.
const MaxFormula = 500

// maxDepth bounds the parentheses and functions inside each other.
const maxDepth = 20

// Formula is arithmetic over columns with numbers: + - * / ( ), abs(x),
// round(x), min(a, b, …) and max(a, b, …). A column is written by its name;
// one whose name isn't a word, in double quotes. It is immutable.
type Formula struct {
	text    string
	columns []string
	root    node
}

// node is a part of a formula.
type node struct {
	op     byte // '+', '-', '*', '/', 'n' a number, 'c' a column, 'f' a function, '~' the negative of one
	name   string
	number float64
	column int
	parts  []node
}

// functions and how many arguments they take at least and at most.
var functions = map[string][2]int{"abs": {1, 1}, "round": {1, 1}, "min": {2, 10}, "max": {2, 10}}

// ParseFormula reads a formula. Errors say where it is wrong.
func ParseFormula(text string) (*Formula, error) {
	if len(text) > MaxFormula {
		return nil, fmt.Errorf("has %d bytes; at most %d", len(text), MaxFormula)
	}
	p := &formulaParser{rest: text, all: text, f: &Formula{text: text}}
	root, err := p.sum(0)
	if err != nil {
		return nil, err
	}
	if p.skip(); p.rest != "" {
		return nil, p.unexpected()
	}
	if len(p.f.columns) == 0 {
		return nil, fmt.Errorf("%q names no column", text)
	}
	p.f.root = root
	return p.f, nil
}

// Columns are the columns that a formula names, each once.
func (f *Formula) Columns() []string { return f.columns }

// Value computes the formula; values are those of Columns. ok is false where
// something is divided by 0, or the result is beyond what a number holds.
func (f *Formula) Value(values []float64) (v float64, ok bool) {
	v = f.root.value(values)
	return v, !math.IsNaN(v) && !math.IsInf(v, 0)
}

func (n *node) value(values []float64) float64 {
	switch n.op {
	case 'n':
		return n.number
	case 'c':
		return values[n.column]
	case '~':
		return -n.parts[0].value(values)
	case '+':
		return n.parts[0].value(values) + n.parts[1].value(values)
	case '-':
		return n.parts[0].value(values) - n.parts[1].value(values)
	case '*':
		return n.parts[0].value(values) * n.parts[1].value(values)
	case '/':
		return n.parts[0].value(values) / n.parts[1].value(values)
	}
	v := n.parts[0].value(values)
	switch n.name {
	case "abs":
		return math.Abs(v)
	case "round":
		return math.Round(v)
	}
	for i := range n.parts[1:] {
		if o := n.parts[1+i].value(values); n.name == "min" {
			v = math.Min(v, o)
		} else {
			v = math.Max(v, o)
		}
	}
	return v
}

// formulaParser is a parser by descent: sums of products of factors.
type formulaParser struct {
	all, rest string
	f         *Formula
}

func (p *formulaParser) skip() { p.rest = strings.TrimLeftFunc(p.rest, unicode.IsSpace) }

func (p *formulaParser) unexpected() error {
	if p.rest == "" {
		return fmt.Errorf("%q ends where a number, a column or ( is expected", p.all)
	}
	r, _ := utf8.DecodeRuneInString(p.rest)
	return fmt.Errorf("%q: %q at character %d is not expected; use columns, numbers, + - * / ( ), abs, round, min and max", p.all, r, utf8.RuneCountInString(p.all[:len(p.all)-len(p.rest)])+1)
}

// take reads the byte c if it is next.
func (p *formulaParser) take(c byte) bool {
	p.skip()
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *formulaParser) sum(depth int) (node, error) {
	return p.chain("+-", depth, p.product)
}

func (p *formulaParser) product(depth int) (node, error) {
	return p.chain("*/", depth, p.factor)
}

// chain reads parts joined by operators, from left to right.
func (p *formulaParser) chain(operators string, depth int, part func(int) (node, error)) (node, error) {
	left, err := part(depth)
	for err == nil {
		p.skip()
		if p.rest == "" || !strings.Contains(operators, p.rest[:1]) {
			break
		}
		op := p.rest[0]
		p.rest = p.rest[1:]
		var right node
		right, err = part(depth)
		left = node{op: op, parts: []node{left, right}}
	}
	return left, err
}

func (p *formulaParser) factor(depth int) (node, error) {
	if depth > maxDepth {
		return node{}, fmt.Errorf("%q has more than %d parentheses inside each other", p.all, maxDepth)
	}
	if p.take('-') {
		of, err := p.factor(depth + 1)
		return node{op: '~', parts: []node{of}}, err
	}
	if p.take('(') {
		inside, err := p.sum(depth + 1)
		if err == nil && !p.take(')') {
			err = p.unexpected()
		}
		return inside, err
	}
	if p.take('"') {
		name, rest, found := strings.Cut(p.rest, `"`)
		if !found {
			return node{}, fmt.Errorf("%q lacks the end of a name in quotes", p.all)
		}
		p.rest = rest
		return p.column(name), nil
	}
	p.skip()
	if end := strings.IndexFunc(p.rest, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }); end != 0 && p.rest != "" {
		if end < 0 {
			end = len(p.rest)
		}
		v, err := strconv.ParseFloat(p.rest[:end], 64)
		if err != nil {
			return node{}, p.unexpected()
		}
		p.rest = p.rest[end:]
		return node{op: 'n', number: v}, nil
	}
	end := strings.IndexFunc(p.rest, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if end < 0 {
		end = len(p.rest)
	}
	if end == 0 {
		return node{}, p.unexpected()
	}
	name := p.rest[:end]
	p.rest = p.rest[end:]
	arity, known := functions[name]
	if !known || !p.take('(') {
		return p.column(name), nil
	}
	call := node{op: 'f', name: name}
	for {
		argument, err := p.sum(depth + 1)
		if err != nil {
			return node{}, err
		}
		call.parts = append(call.parts, argument)
		if p.take(')') {
			break
		}
		if !p.take(',') {
			return node{}, p.unexpected()
		}
	}
	if n := len(call.parts); n < arity[0] || n > arity[1] {
		return node{}, fmt.Errorf("%q: %s has %d arguments; give %d to %d", p.all, name, n, arity[0], arity[1])
	}
	return call, nil
}

func (p *formulaParser) column(name string) node {
	at := slices.Index(p.f.columns, name)
	if at < 0 {
		at = len(p.f.columns)
		p.f.columns = append(p.f.columns, name)
	}
	return node{op: 'c', column: at}
}
