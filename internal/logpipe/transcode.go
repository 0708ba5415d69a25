package logpipe

import (
	"slices"

	xencoding "golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/traditionalchinese"

	"github.com/pharos-stack/pharos/internal/logrule"
)

// transcoded are the encodings whose lines are turned into UTF-8 before any
// rule sees them. In all of them a line ends with the byte of a line feed, which is
// part of no other character.
var transcoded = map[logrule.Encoding]xencoding.Encoding{
	logrule.EncodingBig5: traditionalchinese.Big5, logrule.EncodingShiftJIS: japanese.ShiftJIS,
	logrule.EncodingEUCKR: korean.EUCKR, logrule.EncodingLatin1: charmap.ISO8859_1,
}

// ToUTF8 returns text of an encoding that rules don't read themselves as UTF-8,
// with U+FFFD for what can't be decoded. ok is false for other encodings.
func ToUTF8(e logrule.Encoding, text []byte) (out []byte, ok bool) {
	from := transcoded[e]
	if from == nil {
		return text, false
	}
	out, err := from.NewDecoder().Bytes(text)
	if err != nil { // decoders replace; the error is for what they can't even do that to
		return appendReplaced(nil, text), true
	}
	return out, true
}

func appendReplaced(dst, text []byte) []byte {
	dst, _ = appendUTF8(dst, text)
	return dst
}

// transcodedGroup runs tasks over lines that it turns into UTF-8 first.
type transcodedGroup struct {
	from  logrule.Encoding
	group *Group
}

// apart gives the tasks of files to be transcoded groups of their own and returns the others.
func apart(tasks []*Task) (others []*Task, groups []*transcodedGroup) {
	for _, t := range tasks {
		e := t.p.spec.Encoding
		if transcoded[e] == nil {
			others = append(others, t)
			continue
		}
		i := slices.IndexFunc(groups, func(g *transcodedGroup) bool { return g.from == e })
		if i < 0 {
			i = len(groups)
			groups = append(groups, &transcodedGroup{from: e, group: &Group{}})
		}
		groups[i].group.tasks = append(groups[i].group.tasks, t)
	}
	for _, g := range groups {
		tasks := g.group.tasks
		plain, records := partition(tasks, string(g.from))
		g.group = newGroup(plain)
		g.group.tasks, g.group.records = tasks, records
		for _, r := range records {
			r.group.replaced = true
		}
		g.group.replaced, g.group.plain = true, nil
	}
	return others, groups
}

func (t *transcodedGroup) process(fs *FileState, block []byte, nowMs int64) {
	text, _ := ToUTF8(t.from, block)
	t.group.process(fs, text, nowMs)
}
