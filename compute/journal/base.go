package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"google.golang.org/protobuf/proto"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Base is what sealed parts of a window were folded into.
type Base struct {
	// Sources are the merged tables.
	Sources []BaseSource
	// Lines and LostBytes are sums over the parts.
	Lines     *pharosv1.LineCounters
	LostBytes uint64
	// Parts are the revisions of the parts inside.
	Parts map[PartID]uint64
}

// BaseSource is the merge of all parts of a task whose agents have the same
// values of the labels that the task groups by.
type BaseSource struct {
	Task   string
	Labels map[string]string
	Table  []byte
}

const baseVersion = 1

var errBase = errors.New("base can't be read")

// encode writes version | sources | parts | lost bytes | counters.
func (b *Base) encode() ([]byte, error) {
	out := []byte{baseVersion}
	out = binary.AppendUvarint(out, uint64(len(b.Sources)))
	for _, s := range b.Sources {
		out = appendText(out, s.Task)
		out = binary.AppendUvarint(out, uint64(len(s.Labels)))
		for name, value := range s.Labels {
			out = appendText(appendText(out, name), value)
		}
		out = appendText(out, string(s.Table))
	}
	out = binary.AppendUvarint(out, uint64(len(b.Parts)))
	for p, revision := range b.Parts {
		out = appendText(appendText(out, p.Task), p.Agent)
		out = binary.AppendUvarint(binary.AppendUvarint(out, p.Part), revision)
	}
	out = binary.AppendUvarint(out, b.LostBytes)
	return proto.MarshalOptions{}.MarshalAppend(out, b.Lines)
}

// baseReader cuts what encode wrote; the first error stays.
type baseReader struct {
	b   []byte
	err error
}

func (r *baseReader) number() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.err, r.b = errBase, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *baseReader) text() string {
	s, rest, err := cutText(r.b)
	if err != nil {
		r.err, r.b = errBase, nil
		return ""
	}
	r.b = rest
	return s
}

func decodeBase(v []byte) (*Base, error) {
	if len(v) == 0 || v[0] != baseVersion {
		return nil, errBase
	}
	r := baseReader{b: v[1:]}
	b := &Base{Parts: map[PartID]uint64{}, Lines: &pharosv1.LineCounters{}}
	for n := r.number(); n > 0 && r.err == nil; n-- {
		s := BaseSource{Task: r.text(), Labels: map[string]string{}}
		for l := r.number(); l > 0 && r.err == nil; l-- {
			name := r.text()
			s.Labels[name] = r.text()
		}
		s.Table = []byte(r.text())
		b.Sources = append(b.Sources, s)
	}
	for n := r.number(); n > 0 && r.err == nil; n-- {
		p := PartID{Task: r.text(), Agent: r.text(), Part: r.number()}
		b.Parts[p] = r.number()
	}
	b.LostBytes = r.number()
	if r.err != nil {
		return nil, r.err
	}
	return b, proto.Unmarshal(r.b, b.Lines)
}

// PutBase puts a window's base in place of the one before. Parts that are
// inside are to be dropped with the same batch.
func (b *Batch) PutBase(w WindowID, base *Base) {
	v, err := base.encode()
	b.check(err)
	b.key = appendWindow(b.key[:0], kindBase, w)
	b.set(v)
}

// DropPart forgets a part.
func (b *Batch) DropPart(w WindowID, p PartID) {
	b.key = appendPart(b.key[:0], w, p)
	b.del()
}

// Contents calls onBase with a window's base, if it has one, and then onPart
// with every part beside it, ordered by task, agent and part. All are of one
// moment: no part is missing or told twice because it is folded meanwhile. It stops at the first error.
func (j *Journal) Contents(w WindowID, onBase func(*Base) error, onPart func(*Part) error) error {
	snapshot := j.db.NewSnapshot()
	defer snapshot.Close() // it is only read from
	v, closer, err := snapshot.Get(appendWindow(nil, kindBase, w))
	if err == nil {
		var base *Base
		base, err = decodeBase(v)
		err = errors.Join(err, closer.Close())
		if err == nil {
			err = onBase(base)
		}
	} else if errors.Is(err, pebble.ErrNotFound) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("cannot read the base of a window of monitor %q: %w", w.Monitor, err)
	}
	return j.parts(snapshot, w, onPart)
}

// Unfolded calls fn with every window that has parts beside its base, or two or more and no base, in the order of time.
func (j *Journal) Unfolded(fn func(WindowID)) error {
	it, err := j.db.NewIter(&pebble.IterOptions{LowerBound: []byte{kindPart}, UpperBound: []byte{kindPart + 1}})
	if err != nil {
		return fmt.Errorf("cannot read journal %q: %w", j.opts.Dir, err)
	}
	for ok := it.First(); ok; {
		w, _, err := cutWindow(it.Key())
		if err != nil {
			_ = it.Close() // the error before is the one to tell
			return fmt.Errorf("cannot read journal %q: record %.40q: %w", j.opts.Dir, it.Key(), err)
		}
		prefix := appendWindow(nil, kindPart, w)
		several := it.Next() && bytes.HasPrefix(it.Key(), prefix)
		if !several {
			_, closer, err := j.db.Get(appendWindow(nil, kindBase, w))
			if several = err == nil; several {
				_ = closer.Close() // it was only looked for
			}
		}
		if several {
			fn(w)
		}
		ok = it.SeekGE(after(prefix))
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("cannot read journal %q: %w", j.opts.Dir, err)
	}
	return nil
}
