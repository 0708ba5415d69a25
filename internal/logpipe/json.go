package logpipe

import (
	"bytes"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/pharos-stack/pharos/internal/logrule"
)

// jsonScan finds the members of an object or array that columns need, all in
// one pass that ends at the last of them. What follows is not looked at, and
// of members with the same name the first counts.
type jsonScan struct {
	enc    encoding
	source int
	root   jsonNode
	paths  []string

	stamp uint64
	src   source
	found []jsonValue // by path
	left  int         // paths not found yet
	text  []byte
	at    int
}

// jsonNode is a place on the way to members that are needed.
type jsonNode struct {
	want  int // path that ends here, -1: none
	steps []logrule.Step
	nodes []*jsonNode
}

// jsonValue is where a member stands; for a string what is between its quotes.
type jsonValue struct {
	from, to int
	escaped  bool
	found    bool
}

// jsonDepth is how deep objects and arrays may lie in each other.
const jsonDepth = 100

// jsonFor returns the scan of a source, and the number of the path in it.
func (g *Group) jsonFor(r cutRule, from int) (scan, path int) {
	scan = slices.IndexFunc(g.jsons, func(s jsonScan) bool { return s.enc == r.enc && s.source == from })
	if scan < 0 {
		scan = len(g.jsons)
		g.jsons = append(g.jsons, jsonScan{enc: r.enc, source: from, root: jsonNode{want: -1}})
	}
	s := &g.jsons[scan]
	if path = slices.Index(s.paths, r.text); path >= 0 {
		return scan, path
	}
	steps, err := logrule.ParseJSONPath(r.text)
	if err != nil {
		panic(err) // Compile has read it already
	}
	node := &s.root
	for _, step := range steps {
		node = node.child(step)
	}
	// Another way to write the same path.
	if node.want >= 0 {
		return scan, node.want
	}
	node.want = len(s.paths)
	s.paths = append(s.paths, r.text)
	s.found = append(s.found, jsonValue{})
	return scan, node.want
}

func (n *jsonNode) child(step logrule.Step) *jsonNode {
	if i := slices.Index(n.steps, step); i >= 0 {
		return n.nodes[i]
	}
	c := &jsonNode{want: -1}
	n.steps, n.nodes = append(n.steps, step), append(n.nodes, c)
	return c
}

func (n *jsonNode) byName(name []byte) *jsonNode {
	for i := range n.steps {
		if n.steps[i].Place < 0 && n.steps[i].Name == string(name) {
			return n.nodes[i]
		}
	}
	return nil
}

func (n *jsonNode) byPlace(place int) *jsonNode {
	for i := range n.steps {
		if n.steps[i].Place == place {
			return n.nodes[i]
		}
	}
	return nil
}

func (g *Group) findJSON(s *slot) (src *source, from, to int, escaped bool) {
	scan := &g.jsons[s.ref]
	if scan.stamp != g.stamp {
		scan.stamp = g.stamp
		clear(scan.found)
		if g.read(&scan.src, scan.source, scan.enc, true) {
			scan.run(scan.src.text)
		}
	}
	v := scan.found[s.part]
	if !v.found {
		return nil, 0, 0, false
	}
	return &scan.src, v.from, v.to, v.escaped
}

func (s *jsonScan) run(text []byte) {
	s.text, s.at, s.left = text, 0, len(s.paths)
	s.value(&s.root, 0)
	s.text = nil
}

// value reads a value whose members node needs, and reports whether to go on.
func (s *jsonScan) value(n *jsonNode, depth int) bool {
	s.space()
	if s.at == len(s.text) || depth > jsonDepth {
		return false
	}
	start := s.at
	v := jsonValue{from: start, found: true}
	ok := true
	switch s.text[start] {
	case '{':
		ok = s.object(n, depth)
	case '[':
		ok = s.array(n, depth)
	case '"':
		v.from++
		if v.escaped, ok = s.str(); ok {
			v.to = s.at - 1
			s.take(n, v)
		}
		return ok && s.left > 0
	default:
		for s.at < len(s.text) && s.text[s.at] > ' ' && s.text[s.at] != ',' && s.text[s.at] != '}' && s.text[s.at] != ']' {
			s.at++
		}
		// A number or literal that the line's end has cut off may be another one.
		ok = s.at > start && (s.at < len(s.text) || depth == 0)
		if string(s.text[start:s.at]) == "null" {
			return ok
		}
	}
	if v.to = s.at; ok {
		s.take(n, v)
	}
	return ok && s.left > 0
}

func (s *jsonScan) take(n *jsonNode, v jsonValue) {
	if n.want >= 0 && !s.found[n.want].found {
		s.found[n.want] = v
		s.left--
	}
}

func (s *jsonScan) object(n *jsonNode, depth int) bool {
	s.at++
	for s.space(); s.at < len(s.text) && s.text[s.at] == '"'; s.space() {
		from := s.at + 1
		escaped, ok := s.str()
		if !ok {
			return false
		}
		name := s.text[from : s.at-1]
		if escaped && len(n.steps) > 0 {
			name = appendUnescaped(nil, name)
		}
		if s.space(); s.at == len(s.text) || s.text[s.at] != ':' {
			return false
		}
		s.at++
		if child := n.byName(name); child != nil {
			ok = s.value(child, depth+1)
		} else {
			ok = s.skip()
		}
		if !ok {
			return false
		}
		if s.space(); s.at < len(s.text) && s.text[s.at] == ',' {
			s.at++
			continue
		}
		break
	}
	return s.close('}')
}

func (s *jsonScan) array(n *jsonNode, depth int) bool {
	s.at++
	if s.space(); s.at < len(s.text) && s.text[s.at] == ']' {
		s.at++
		return true
	}
	for place := 0; ; place++ {
		ok := false
		if child := n.byPlace(place); child != nil {
			ok = s.value(child, depth+1)
		} else {
			ok = s.skip()
		}
		if !ok {
			return false
		}
		if s.space(); s.at < len(s.text) && s.text[s.at] == ',' {
			s.at++
			continue
		}
		return s.close(']')
	}
}

func (s *jsonScan) close(c byte) bool {
	if s.at == len(s.text) || s.text[s.at] != c {
		return false
	}
	s.at++
	return true
}

func (s *jsonScan) space() {
	for s.at < len(s.text) && s.text[s.at] <= ' ' {
		s.at++
	}
}

// str passes a string, at whose first quote it is.
func (s *jsonScan) str() (escaped, ok bool) {
	for s.at++; ; s.at++ {
		i := bytes.IndexByte(s.text[s.at:], '"')
		if i < 0 {
			return false, false
		}
		end := s.at + i
		back := 0
		for end-back > s.at && s.text[end-back-1] == '\\' {
			back++
		}
		escaped = escaped || back > 0 || bytes.IndexByte(s.text[s.at:end], '\\') >= 0
		s.at = end
		if back%2 == 0 {
			s.at++
			return escaped, true
		}
	}
}

// skip passes a value that nobody needs, whatever is in it.
func (s *jsonScan) skip() bool {
	s.space()
	for depth := 0; s.at < len(s.text); {
		switch c := s.text[s.at]; c {
		case '"':
			if _, ok := s.str(); !ok {
				return false
			}
		case '{', '[':
			depth++
			s.at++
			continue
		case '}', ']':
			if depth == 0 {
				return false
			}
			depth--
			s.at++
		case ',', ':', ' ', '\t', '\r':
			if depth == 0 {
				return false
			}
			s.at++
			continue
		default:
			for s.at < len(s.text) && s.text[s.at] > ' ' && s.text[s.at] != ',' && s.text[s.at] != '}' && s.text[s.at] != ']' && s.text[s.at] != ':' {
				s.at++
			}
		}
		if depth == 0 {
			return true
		}
	}
	return false
}

// appendUnescaped appends the text that a JSON string's inside stands for. Escapes
// that JSON does not have stay as they are; halves of surrogates become U+FFFD.
func appendUnescaped(dst, b []byte) []byte {
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\\')
		if i < 0 || i+1 == len(b) {
			return append(dst, b...)
		}
		dst = append(dst, b[:i]...)
		c := b[i+1]
		size := 2
		switch c {
		case '"', '\\', '/':
			dst = append(dst, c)
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, ok := hex4(b[i+2:])
			if !ok {
				dst = append(dst, b[i:i+2]...)
				break
			}
			size = 6
			if utf16.IsSurrogate(r) {
				low, ok := rune(0), false
				if bytes.HasPrefix(b[i+6:], []byte(`\u`)) {
					low, ok = hex4(b[i+8:])
				}
				if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
					r, size = pair, 12
				} else {
					r = utf8.RuneError
				}
			}
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, b[i:i+2]...)
		}
		b = b[i+size:]
	}
	return dst
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[:4]), 16, 16)
	return rune(n), err == nil
}
