package logpipe

import (
	"bytes"
	"slices"
)

// kvScan finds the values of the keys that columns need, all in one pass: pairs
// of key and value, as logfmt has them. A value in quotes may contain anything,
// quotes and backslashes after a backslash; one whose quote does not end goes
// on to the text's end. Of pairs with the same key the first counts.
type kvScan struct {
	enc               encoding
	source            int
	separator, assign string // separator is empty for spaces
	keys              []string

	stamp uint64
	src   source
	found []jsonValue // by key
}

func (g *Group) kvFor(r cutRule, from int) (scan, key int) {
	scan = slices.IndexFunc(g.kvs, func(s kvScan) bool {
		return s.enc == r.enc && s.source == from && s.separator == r.separator && s.assign == r.right
	})
	if scan < 0 {
		scan = len(g.kvs)
		g.kvs = append(g.kvs, kvScan{enc: r.enc, source: from, separator: r.separator, assign: r.right})
	}
	s := &g.kvs[scan]
	if key = slices.Index(s.keys, r.text); key < 0 {
		key = len(s.keys)
		s.keys = append(s.keys, r.text)
		s.found = append(s.found, jsonValue{})
	}
	return scan, key
}

func (g *Group) findKV(s *slot) (src *source, from, to int, escaped bool) {
	scan := &g.kvs[s.ref]
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

func (s *kvScan) run(text []byte) {
	left := len(s.keys)
	for at := 0; at < len(text) && left > 0; {
		if s.separator == "" && space(text[at]) {
			at++
			continue
		}
		end := s.pairEnd(text, at)
		assign := index(text[:end], at, s.assign)
		if assign < 0 {
			at = end + len(s.separator)
			continue
		}
		from, to := trim(text, at, assign)
		key := text[from:to]
		v := jsonValue{from: assign + len(s.assign), to: end, found: true}
		at = end + len(s.separator)
		from, to = trim(text, v.from, len(text))
		if s.separator == "" {
			from = v.from // a space ends an empty value
		}
		if from < to && text[from] == '"' {
			quote, escaped := quoteEnd(text, from+1)
			v = jsonValue{from: from + 1, to: quote, escaped: escaped, found: true}
			at = s.pairEnd(text, min(quote+1, len(text))) + len(s.separator)
		}
		if i := slices.IndexFunc(s.keys, func(k string) bool { return k == string(key) }); i >= 0 && !s.found[i].found {
			s.found[i] = v
			left--
		}
	}
}

// pairEnd returns where the pair ends that goes on at a place.
func (s *kvScan) pairEnd(text []byte, at int) int {
	if s.separator != "" {
		if at = index(text, at, s.separator); at < 0 {
			return len(text)
		}
		return at
	}
	for at < len(text) && !space(text[at]) {
		at++
	}
	return at
}

// quoteEnd returns where the quote is that ends a string whose inside begins at
// a place, or the text's end.
func quoteEnd(text []byte, from int) (end int, escaped bool) {
	for at := from; ; {
		i := bytes.IndexAny(text[at:], "\"\\")
		switch {
		case i < 0:
			return len(text), escaped
		case text[at+i] == '"':
			return at + i, escaped
		case at+i+2 > len(text):
			return len(text), true
		}
		escaped = true
		at += i + 2
	}
}
