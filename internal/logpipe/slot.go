package logpipe

import "unicode/utf8"

// origin says where bytes lie.
type origin uint8

const (
	inLine    origin = iota // in the line, in its encoding
	inDecoded               // in the line as UTF-8
	elsewhere               // in a value that was made of it
)

// span is a part of a text.
type span struct {
	at       origin
	from, to int
}

// source is what a value is cut out of.
type source struct {
	text, room []byte // room is the text and the bytes after it that may be read
	at         origin
	from       int // where text begins there
	gb         bool
}

// read makes src the line, or the value of the slot it is cut out of, and
// reports whether there is one. Rules that look at characters rather than
// bytes ask for UTF-8.
func (g *Group) read(src *source, slot int, enc encoding, asUTF8 bool) bool {
	if slot >= 0 {
		g.value(slot)
		s := &g.slots[slot]
		src.text, src.room, src.at, src.from, src.gb = s.text, s.text, s.textAt, s.textFrom, false
		return s.state != slotMissing
	}
	src.text, src.room, src.gb = g.line, g.room, g.gb[enc] && !g.ascii
	src.at, src.from = inLine, 0
	if src.gb && asUTF8 {
		if !g.hasText {
			g.decoded, _ = appendGB(g.decoded[:0], g.line)
			g.hasText = true
		}
		src.text, src.room, src.at, src.gb = g.decoded, g.decoded, inDecoded, false
	}
	return true
}

// isField reports whether the slot is a field of the line, as it is written.
func (s *slot) isField() bool { return s.ofField() && s.translate == nil }

// ofField reports whether the slot is a field of the line, or what that is translated to.
func (s *slot) ofField() bool { return s.rule.kind == cutSplit && s.parent < 0 }

// split returns the slot's splitter after it has seen the line.
func (g *Group) split(s *slot) *splitter {
	sp := &g.splits[s.ref]
	if sp.stamp != g.stamp {
		sp.stamp = g.stamp
		if !g.read(&sp.src, sp.source, sp.enc, false) {
			sp.n = -1
			return sp
		}
		sp.run(sp.src.text, sp.src.room, sp.src.gb)
	}
	return sp
}

// value returns the slot's value of the line, trimmed, decoded, cut and
// translated; its state says whether it is missing.
func (g *Group) value(i int) []byte {
	s := &g.slots[i]
	if s.stamp != g.stamp {
		g.cut(s)
	}
	return g.held(s)
}

// held returns the value of a slot that has been cut.
func (g *Group) held(s *slot) []byte {
	switch s.state {
	case slotInLine:
		return g.line[s.from:s.to]
	case slotInScratch:
		return g.scratch[s.from:s.to]
	}
	return nil
}

// cut finds the slot's value.
func (g *Group) cut(s *slot) {
	s.stamp, s.state, s.cut, s.bad, s.drop = g.stamp, slotMissing, false, 0, false
	if s.formula != nil {
		g.compute(s)
		return
	}
	src, from, to, escaped := g.find(s)
	if src == nil {
		return
	}
	from, to = trim(src.text, from, to)
	s.raw = span{src.at, src.from + from, src.from + to}
	s.state, s.from, s.to = slotInLine, from, to
	if src.at == inLine && src.from == 0 && !escaped && !s.whole && s.translate == nil {
		if to-from > maxValue || !g.ascii {
			g.decode(s, src)
		}
		return
	}
	g.cutRest(s, src, escaped)
}

// cutRest does what few values need.
func (g *Group) cutRest(s *slot, found *source, escaped bool) {
	src := *found
	switch { // bounds become those of the line
	case src.at == inLine:
		src.text, s.from, s.to = g.line, s.raw.from, s.raw.to
	case src.at == inDecoded:
		src.text, s.from, s.to = g.decoded, s.raw.from, s.raw.to
	}
	if escaped {
		start := len(g.scratch)
		g.scratch = appendUnescaped(g.scratch, src.text[s.from:s.to])
		src = source{text: g.scratch[start:], at: elsewhere}
		s.from, s.to = trim(src.text, 0, len(src.text))
	}
	if s.whole {
		g.keepText(s, &src)
	}
	if s.to-s.from > maxValue || !g.ascii || src.at != inLine {
		g.decode(s, &src)
	}
	if s.translate != nil {
		g.translateValue(s)
	}
}

// keepText keeps the whole value as UTF-8, for what is cut out of it.
func (g *Group) keepText(s *slot, src *source) {
	s.text, s.textAt, s.textFrom = src.text[s.from:s.to], src.at, s.from
	if src.at == elsewhere {
		s.textFrom = 0
	}
	if src.gb && !isASCII(s.text) {
		start := len(g.scratch)
		g.scratch, _ = appendGB(g.scratch, s.text)
		s.text, s.textAt, s.textFrom = g.scratch[start:], elsewhere, 0
	}
}

// find returns what the slot's rule finds in which text, nil if nothing;
// escaped says that it is the inside of a string that has escapes.
func (g *Group) find(s *slot) (src *source, from, to int, escaped bool) {
	ok := false
	switch s.rule.kind {
	case cutSplit:
		sp := g.split(s)
		if src = &sp.src; sp.n >= 0 {
			from, to, ok = sp.field(s.rule.index, len(src.text))
		}
	case cutRegex:
		re := &g.regexes[s.ref]
		if src = &re.src; re.stamp != g.stamp {
			re.stamp, re.found = g.stamp, nil
			if g.read(src, re.source, re.enc, true) {
				re.found = re.matcher.match(src.text)
			}
		}
		if ok = re.found != nil && re.found[2*s.rule.index] >= 0; ok {
			from, to = re.found[2*s.rule.index], re.found[2*s.rule.index+1]
		}
	case cutJSON:
		return g.findJSON(s)
	case cutKV:
		return g.findKV(s)
	default:
		if src = &s.src; !g.read(src, s.parent, s.rule.enc, s.rule.kind == cutFixed) {
			return nil, 0, 0, false
		}
		switch s.rule.kind {
		case cutBetween:
			from, to, ok = g.betweens[s.ref].cut(src.text, src.gb)
		case cutFixed:
			from, to, ok = fixed(src.text, s.rule.index, s.rule.rightIndex)
		default:
			to, ok = len(src.text), true
		}
	}
	if !ok {
		return nil, 0, 0, false
	}
	return src, from, to, false
}

// fixed returns the bounds of length characters after the first offset.
func fixed(text []byte, offset, length int) (from, to int, ok bool) {
	from = characters(text, 0, offset)
	if from < 0 || from == len(text) {
		return 0, 0, false
	}
	if to = characters(text, from, length); to < 0 {
		to = len(text)
	}
	return from, to, true
}

// characters returns where n characters of UTF-8 from a place on end, -1 if
// there are fewer. A byte that is part of none counts as one.
func characters(text []byte, from, n int) int {
	for ; n > 0; n-- {
		if from >= len(text) {
			return -1
		}
		_, size := utf8.DecodeRune(text[from:])
		from += size
	}
	return from
}

// decode brings a value that is long or may not be ASCII to its final form.
func (g *Group) decode(s *slot, src *source) {
	raw := src.text[s.from:s.to]
	if src.at == inLine && isASCII(raw) {
		if len(raw) > maxValue {
			s.cut = true
			_, s.to = trim(src.text, s.from, s.from+maxValue)
		}
		return
	}
	start := len(g.scratch)
	var bad int
	if src.gb {
		g.scratch, bad = appendGB(g.scratch, raw)
	} else {
		g.scratch, bad = appendUTF8(g.scratch, raw)
	}
	text, cut := cutText(g.scratch[start:])
	s.bad, s.cut = int32(bad), cut
	s.state = slotInScratch
	s.from = start
	if len(text) > 0 {
		s.from += cap(g.scratch[start:]) - cap(text) // what was trimmed on the left
	}
	s.to = s.from + len(text)
}

// translateValue puts what the slot's value is translated to in its place.
func (g *Group) translateValue(s *slot) {
	v := g.held(s)
	to, ok := s.known[string(v)]
	if !ok {
		if len(s.known) >= maxKnown {
			clear(s.known)
		}
		to = s.translate.of(string(v))
		s.known[string(v)] = to
	}
	s.drop = to.drop
	if to.kept {
		return
	}
	s.state, s.from = slotInScratch, len(g.scratch)
	g.scratch = append(g.scratch, to.text...)
	s.to = len(g.scratch)
	if s.whole {
		s.text, s.textAt, s.textFrom = g.scratch[s.from:s.to], elsewhere, 0
	}
}
