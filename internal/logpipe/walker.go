package logpipe

import (
	"bytes"
	"regexp/syntax"
	"unicode/utf8"
)

// walker matches the patterns people write for logs: fields of characters that
// end before something that can't belong to them, as in
//
//	^(\S+) \[([^\]]*)\] "(GET|POST) ([^" ]+)
//
// At each place of such a pattern the next byte alone decides how to go on, so
// one walk over the line finds the match and its groups, as package regexp
// would, without its bookkeeping. newWalker returns nil for other patterns.
type walker struct {
	nodes    []node
	start    int
	anchored bool     // the pattern begins with ^
	prefix   []byte   // text that every match begins with
	first    firstSet // bytes that a match can begin with
	caps     []int    // scratch: what match returns
}

type nodeOp uint8

const (
	opAccept nodeOp = iota
	opText          // text
	opClass         // min to max bytes of set; max < 0: any number
	opSave          // note the position in caps[slot]
	opEnd           // the line's end
	opBranch        // go on by the next byte
)

type node struct {
	op       nodeOp
	next     int
	text     []byte
	set      *[256]bool
	min, max int
	slot     int
	branch   *[256]int16 // node by byte, -1: no match
}

// firstSet says what can follow at a place of the pattern.
type firstSet struct {
	set    [256]bool
	accept bool // the match may end here
	end    bool // the line may end here
	// run is set when the next thing is any number of characters of a class.
	run *[256]bool
}

func (f *firstSet) add(o *firstSet) {
	for i, in := range o.set {
		f.set[i] = f.set[i] || in
	}
	f.accept = f.accept || o.accept
	f.end = f.end || o.end
}

func (f *firstSet) meets(set *[256]bool) bool {
	for i, in := range set {
		if in && f.set[i] {
			return true
		}
	}
	return false
}

// contains reports whether all of part is in set.
func contains(set, part *[256]bool) bool {
	for i, in := range part {
		if in && !set[i] {
			return false
		}
	}
	return true
}

// newWalker returns the walker of a pattern, nil if it has none.
func newWalker(re *syntax.Regexp) *walker {
	w := &walker{caps: make([]int, 2*(re.MaxCap()+1))}
	if re.Op == syntax.OpBeginText {
		return nil
	}
	body := re
	if re.Op == syntax.OpConcat && re.Sub[0].Op == syntax.OpBeginText {
		w.anchored = true
		body = &syntax.Regexp{Op: syntax.OpConcat, Sub: re.Sub[1:]}
	}
	accept := w.add(node{op: opAccept})
	start, first, ok := w.build(body, accept, firstSet{accept: true})
	if !ok {
		return nil
	}
	w.start, w.first = start, first
	for n := w.nodes[start]; ; n = w.nodes[n.next] {
		if n.op == opText {
			w.prefix = n.text
		}
		if n.op != opSave {
			break
		}
	}
	return w
}

func (w *walker) add(n node) int {
	w.nodes = append(w.nodes, n)
	return len(w.nodes) - 1
}

// build adds the nodes of re, after which the match goes on at next with one
// of follow. It returns where they begin and what they can begin with; ok is
// false if the next byte alone does not decide.
func (w *walker) build(re *syntax.Regexp, next int, follow firstSet) (start int, first firstSet, ok bool) {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return next, follow, true
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase != 0 {
			return 0, first, false
		}
		text := []byte(string(re.Rune))
		if bytes.ContainsRune(text, utf8.RuneError) {
			return 0, first, false
		}
		first.set[text[0]] = true
		return w.add(node{op: opText, text: text, next: next}), first, true
	case syntax.OpCapture:
		end := w.add(node{op: opSave, slot: 2*re.Cap + 1, next: next})
		sub, first, ok := w.build(re.Sub[0], end, follow)
		if !ok {
			return 0, first, false
		}
		return w.add(node{op: opSave, slot: 2 * re.Cap, next: sub}), first, true
	case syntax.OpConcat:
		for i := len(re.Sub) - 1; i >= 0; i-- {
			if next, follow, ok = w.build(re.Sub[i], next, follow); !ok {
				return 0, first, false
			}
		}
		return next, follow, true
	case syntax.OpEndText:
		return w.add(node{op: opEnd, next: next}), firstSet{end: true}, follow.accept
	case syntax.OpAlternate:
		return w.alternate(re, next, follow)
	case syntax.OpStar:
		return w.repeat(re, 0, -1, next, follow)
	case syntax.OpPlus:
		return w.repeat(re, 1, -1, next, follow)
	case syntax.OpQuest:
		return w.repeat(re, 0, 1, next, follow)
	case syntax.OpRepeat:
		return w.repeat(re, re.Min, re.Max, next, follow)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return w.class(re, 1, 1, false, next, follow)
	}
	return 0, first, false
}

// alternate goes on by the next byte, which has to belong to one of the
// alternatives only.
func (w *walker) alternate(re *syntax.Regexp, next int, follow firstSet) (start int, first firstSet, ok bool) {
	n := node{op: opBranch, branch: new([256]int16)}
	for i := range n.branch {
		n.branch[i] = -1
	}
	for _, sub := range re.Sub {
		at, f, ok := w.build(sub, next, follow)
		if !ok || f.accept || f.end || f.meets(&first.set) || at > 1<<14 {
			return 0, first, false
		}
		for c, in := range f.set {
			if in {
				n.branch[c] = int16(at)
			}
		}
		first.add(&f)
	}
	return w.add(n), first, true
}

// repeat handles repetition of single characters, and optional parts that the
// next byte tells from what follows.
func (w *walker) repeat(re *syntax.Regexp, low, high, next int, follow firstSet) (start int, first firstSet, ok bool) {
	sub := re.Sub[0]
	lazy := re.Flags&syntax.NonGreedy != 0
	switch sub.Op {
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return w.class(sub, low, high, lazy, next, follow)
	case syntax.OpLiteral:
		if len(sub.Rune) == 1 && sub.Rune[0] < utf8.RuneSelf && sub.Flags&syntax.FoldCase == 0 {
			one := &syntax.Regexp{Op: syntax.OpCharClass, Rune: []rune{sub.Rune[0], sub.Rune[0]}}
			return w.class(one, low, high, lazy, next, follow)
		}
	}
	if low != 0 || high != 1 || follow.accept || follow.end {
		return 0, first, false
	}
	at, f, ok := w.build(sub, next, follow)
	if !ok || f.accept || f.end || f.meets(&follow.set) || max(at, next) > 1<<14 {
		return 0, first, false
	}
	n := node{op: opBranch, branch: new([256]int16)}
	for c := range n.branch {
		switch {
		case f.set[c]:
			n.branch[c] = int16(at)
		case follow.set[c]:
			n.branch[c] = int16(next)
		default:
			n.branch[c] = -1
		}
	}
	f.add(&follow)
	return w.add(n), f, true
}

// class takes low to high characters of a class. A run of undecided length has
// to end where what follows can't be of the class: then no shorter run than
// the longest leads to a match, nor a longer one than a lazy one needs.
func (w *walker) class(re *syntax.Regexp, low, high int, lazy bool, next int, follow firstSet) (start int, first firstSet, ok bool) {
	set, wide, ok := byteSet(re)
	if !ok {
		return 0, first, false
	}
	// Bytes beyond ASCII are not characters, so they can't be counted.
	if wide && !(high < 0 && low <= 1) {
		return 0, first, false
	}
	if low != high {
		// Before a run of a class that contains this one, how the characters are
		// shared out does not matter for the rest, so this one takes all.
		shared := follow.run != nil && !lazy && contains(follow.run, set)
		if follow.meets(set) && !shared || lazy && follow.accept {
			return 0, first, false
		}
	}
	first.set = *set
	if low == 0 {
		first.add(&follow)
		if high < 0 && !lazy {
			first.run = set
		}
	}
	if high == 0 {
		return next, follow, true
	}
	return w.add(node{op: opClass, set: set, min: low, max: high, next: next}), first, true
}

// byteSet returns the bytes of a class of ASCII characters, to which all
// others may belong (wide) or none.
func byteSet(re *syntax.Regexp) (set *[256]bool, wide, ok bool) {
	set = new([256]bool)
	ranges := re.Rune
	switch re.Op {
	case syntax.OpAnyChar:
		ranges = []rune{0, utf8.MaxRune}
	case syntax.OpAnyCharNotNL:
		ranges = []rune{0, '\n' - 1, '\n' + 1, utf8.MaxRune}
	}
	for i := 0; i < len(ranges); i += 2 {
		lo, hi := ranges[i], ranges[i+1]
		if hi >= utf8.RuneSelf {
			if lo > utf8.RuneSelf || hi != utf8.MaxRune {
				return nil, false, false
			}
			wide = true
		}
		for c := lo; c <= min(hi, utf8.RuneSelf-1); c++ {
			set[c] = true
		}
	}
	if wide {
		for c := utf8.RuneSelf; c < 256; c++ {
			set[c] = true
		}
	}
	set['\n'] = false // is not in lines
	return set, wide, true
}

// match returns the bounds of the leftmost match and its groups; found is
// false if there is none. ok is false if it would take more than time linear
// in the line to find out, which patterns without ^ can come to.
func (w *walker) match(line []byte) (caps []int, found, ok bool) {
	if w.anchored {
		_, found := w.walk(line, 0)
		return w.caps, found, true
	}
	budget := 8*len(line) + 256
	for at := 0; at <= len(line); {
		if len(w.prefix) > 0 {
			i := bytes.Index(line[at:], w.prefix)
			if i < 0 {
				return nil, false, true
			}
			at += i
		} else if !w.first.accept && !w.first.end {
			for at < len(line) && !w.first.set[line[at]] {
				at++
			}
			if at == len(line) {
				return nil, false, true
			}
		}
		end, found := w.walk(line, at)
		if found {
			return w.caps, true, true
		}
		if budget -= end - at + 1; budget < 0 {
			return nil, false, false
		}
		if at == len(line) {
			break
		}
		_, size := utf8.DecodeRune(line[at:])
		at += size
	}
	return nil, false, true
}

// walk tries to match at a place and returns how far it got.
func (w *walker) walk(line []byte, from int) (end int, found bool) {
	for i := range w.caps {
		w.caps[i] = -1
	}
	i := from
	for pc := w.start; ; {
		n := &w.nodes[pc]
		switch n.op {
		case opClass:
			set, stop := n.set, len(line)
			if n.max >= 0 && stop-i > n.max {
				stop = i + n.max
			}
			begin := i
			for i < stop && set[line[i]] {
				i++
			}
			if i-begin < n.min {
				return i, false
			}
		case opText:
			if !bytes.HasPrefix(line[i:], n.text) {
				return i, false
			}
			i += len(n.text)
		case opSave:
			w.caps[n.slot] = i
		case opBranch:
			if i == len(line) {
				return i, false
			}
			at := n.branch[line[i]]
			if at < 0 {
				return i, false
			}
			pc = int(at)
			continue
		case opEnd:
			if i != len(line) {
				return i, false
			}
		case opAccept:
			w.caps[0], w.caps[1] = from, i
			return i, true
		}
		pc = n.next
	}
}
