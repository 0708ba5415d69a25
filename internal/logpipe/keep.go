package logpipe

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/partial"
)

// keeper says which lines of a window are kept, and what of them.
type keeper struct {
	byNumber bool // by the number of the rule's only input; else by time alone
	masker   *masker
	pattern  *regexp.Regexp // nil: the whole line
	template []byte
}

func newKeeper(spec logrule.Spec) (k *keeper, err error) {
	if !spec.Type.KeepsLines() {
		return nil, nil
	}
	k = &keeper{byNumber: spec.Type == logrule.RowTop}
	if k.masker, err = newMasker(spec.Masking); err != nil {
		return nil, fmt.Errorf("cannot compile masking: %w", err)
	}
	if m := spec.Match; m != nil && m.TextMode == logrule.TextCustom {
		if k.pattern, err = regexp.Compile(m.TextPattern); err != nil {
			return nil, fmt.Errorf("cannot compile text_pattern: %w", err)
		}
		// Only ${name} is a group; any other $ stands for itself.
		k.template = []byte(strings.ReplaceAll(strings.ReplaceAll(m.CustomText, "$", "$$"), "$${", "${"))
	}
	return k, nil
}

// text returns what is kept of a line of UTF-8, which it may change: masked
// first, then cut, so that no half of a number escapes.
func (k *keeper) text(line []byte) (text string, cut bool) {
	if k.pattern != nil {
		if at := k.pattern.FindSubmatchIndex(line); at != nil {
			line = k.pattern.Expand(nil, k.template, line, at)
		}
	}
	return clip(k.masker.mask(line), logrule.MaxKeptLine)
}

// clip cuts a text of UTF-8 to so many bytes, between two characters.
func clip(text []byte, most int) (string, bool) {
	if len(text) <= most {
		return string(text), false
	}
	return string(bytes.ToValidUTF8(text[:most], nil)), true
}

// keepLine keeps the line at hand if it is among the first of its window.
func (g *Group) keepLine(r *run, w *Window, ms int64, value float64) {
	n := w.layout.Keep
	if w.lines.Below(n, value, ms) {
		return
	}
	k := r.task.p.keeper
	var decoded []byte
	if g.gb[r.enc] && !g.ascii {
		decoded, _ = appendGB(nil, g.line)
	} else {
		decoded = bytes.ToValidUTF8(bytes.Clone(g.line), []byte("\uFFFD"))
	}
	l := partial.Line{Value: value, TimeMs: ms, File: strings.ToValidUTF8(g.fs.Path, "\uFFFD")}
	l.Text, l.Cut = k.text(decoded)
	for _, s := range r.columns {
		v := g.value(s) // nil where the line has no such column
		g.noteText(r, w, s)
		l.Key = append(l.Key, string(k.masker.mask(bytes.Clone(v))))
	}
	w.lines.Keep(n, l)
}

// linesBytes is about what the kept lines hold in memory.
func (w *Window) linesBytes() int {
	const perLine, perValue = 120, 16
	n := perLine * cap(w.lines)
	for i := range w.lines {
		l := &w.lines[i]
		n += len(l.Text) // names of files are shared
		for _, v := range l.Key {
			n += perValue + len(v)
		}
	}
	return n
}
