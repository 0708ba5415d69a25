package journal

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"google.golang.org/protobuf/proto"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Settled is what is known of a window that has settled.
type Settled struct {
	State *pharosv1.WindowState
	// Expected is how many agents were expected when it settled first.
	Expected uint32
	// Missing of them have not reported.
	Missing []string
}

// message is the wire form: an answer about one window has the right fields.
func (s *Settled) message() *pharosv1.MonitorWindowsResponse {
	return &pharosv1.MonitorWindowsResponse{Windows: []*pharosv1.WindowState{s.State}, ExpectedAgents: s.Expected, MissingAgents: s.Missing}
}

// Settled returns what is known of a settled window, nil if it has not settled.
func (j *Journal) Settled(w WindowID) (*Settled, error) {
	v, closer, err := j.db.Get(appendWindow(nil, kindSettled, w))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read a settled window of monitor %q: %w", w.Monitor, err)
	}
	defer closer.Close()
	var m pharosv1.MonitorWindowsResponse
	if err := proto.Unmarshal(v, &m); err != nil || len(m.GetWindows()) != 1 {
		return nil, fmt.Errorf("cannot decode a settled window of monitor %q: %w", w.Monitor, err)
	}
	return &Settled{State: m.GetWindows()[0], Expected: m.GetExpectedAgents(), Missing: m.GetMissingAgents()}, nil
}

// Part is a part as the journal has it. It is valid until the callback returns.
type Part struct {
	PartID
	Revision uint64
	Sealed   bool
	body     []byte
}

// Decode returns the revision.
func (p *Part) Decode() (*pharosv1.Revision, error) {
	r := &pharosv1.Revision{}
	if err := proto.Unmarshal(p.body, r); err != nil {
		return nil, fmt.Errorf("cannot decode part %d of agent %q in task %q: %w", p.Part, p.Agent, p.Task, err)
	}
	return r, nil
}

// parts calls fn with every part of a window, ordered by task, agent and
// part, and stops at its first error.
func (j *Journal) parts(from pebble.Reader, w WindowID, fn func(p *Part) error) error {
	prefix := appendWindow(nil, kindPart, w)
	return j.scanRange(from, prefix, after(prefix), func(key, value []byte) error {
		_, rest, err := cutWindow(key)
		if err != nil {
			return err
		}
		var p Part
		if p.Task, rest, err = cutText(rest); err != nil {
			return err
		}
		if p.Agent, rest, err = cutText(rest); err != nil {
			return err
		}
		if len(rest) != 8 || len(value) < 9 {
			return errKey
		}
		p.PartID.Part = binary.BigEndian.Uint64(rest)
		p.Revision, p.Sealed, p.body = binary.BigEndian.Uint64(value), value[8] == 1, value[9:]
		return fn(&p)
	})
}

// Marked calls fn with every marked window in the order of time.
func (j *Journal) Marked(fn func(WindowID)) error { return j.windows(kindMark, fn) }

// Rollups calls fn with every marked bucket of rollups in the order of time.
func (j *Journal) Rollups(fn func(WindowID)) error { return j.windows(kindRollup, fn) }

// IsMarked tells whether a window is marked.
func (j *Journal) IsMarked(w WindowID) (bool, error) {
	_, closer, err := j.db.Get(appendWindow(nil, kindMark, w))
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot read the mark of a window of monitor %q: %w", w.Monitor, err)
	}
	return true, closer.Close()
}

// Incomplete calls fn with every settled window that misses agents, in the order of time.
func (j *Journal) Incomplete(fn func(WindowID)) error { return j.windows(kindIncomplete, fn) }

func (j *Journal) windows(kind byte, fn func(WindowID)) error {
	return j.scan([]byte{kind}, func(key, _ []byte) error {
		w, _, err := cutWindow(key)
		if err == nil {
			fn(w)
		}
		return err
	})
}

// Samples calls fn with the samples kept from a number on, in the order of
// their numbers, and stops at its first error.
func (j *Journal) Samples(from uint64, fn func(seq uint64, agent string, s *pharosv1.Samples) error) error {
	lower := binary.BigEndian.AppendUint64([]byte{kindSamples}, from)
	return j.scanRange(j.db, lower, after([]byte{kindSamples}), func(key, value []byte) error {
		if len(key) != 9 {
			return errKey
		}
		agent, rest, err := cutText(value)
		if err != nil {
			return err
		}
		s := &pharosv1.Samples{}
		if err := proto.Unmarshal(rest, s); err != nil {
			return err
		}
		return fn(binary.BigEndian.Uint64(key[1:]), agent, s)
	})
}

// Keys calls fn with every key of every monitor.
func (j *Journal) Keys(fn func(monitor, key string, seenMs int64)) error {
	return j.scan([]byte{kindKey}, func(key, value []byte) error {
		monitor, rest, err := cutText(key[1:])
		if err != nil || len(value) != 8 {
			return errors.Join(err, errKey)
		}
		fn(monitor, string(rest), int64(binary.BigEndian.Uint64(value)))
		return nil
	})
}

// Cursors calls fn with every monitor's cursor.
func (j *Journal) Cursors(fn func(monitor string, startMs int64)) error {
	return j.scan([]byte{kindCursor}, func(key, value []byte) error {
		monitor, _, err := cutText(key[1:])
		if err != nil || len(value) != 8 {
			return errors.Join(err, errKey)
		}
		fn(monitor, int64(binary.BigEndian.Uint64(value)))
		return nil
	})
}

// Tasks calls fn with every monitor under each of its tasks.
func (j *Journal) Tasks(fn func(*pharosv1.MonitorInfo)) error {
	return j.scan([]byte{kindTask}, func(_, value []byte) error {
		m := &pharosv1.MonitorInfo{}
		if err := proto.Unmarshal(value, m); err != nil {
			return err
		}
		fn(m)
		return nil
	})
}

// State returns the state of the cluster kept last, nil if there is none.
func (j *Journal) State() (*pharosv1.ClusterState, error) {
	var s *pharosv1.ClusterState
	err := j.scan([]byte{kindState}, func(_, value []byte) error {
		s = &pharosv1.ClusterState{}
		return proto.Unmarshal(value, s)
	})
	return s, err
}

// scan calls fn with every record whose key begins with prefix.
func (j *Journal) scan(prefix []byte, fn func(key, value []byte) error) error {
	return j.scanRange(j.db, prefix, after(prefix), fn)
}

func (j *Journal) scanRange(reader pebble.Reader, from, to []byte, fn func(key, value []byte) error) error {
	it, err := reader.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return fmt.Errorf("cannot read journal %q: %w", j.opts.Dir, err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err == nil {
			err = fn(it.Key(), v)
		}
		if err != nil {
			err = fmt.Errorf("cannot read journal %q: record %.40q: %w", j.opts.Dir, it.Key(), err)
			_ = it.Close() // the error before is the one to tell
			return err
		}
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("cannot read journal %q: %w", j.opts.Dir, err)
	}
	return nil
}

// GetRevision returns the revision under which the store has the window, 0 if s is nil.
func (s *Settled) GetRevision() uint64 {
	if s == nil {
		return 0
	}
	return s.State.GetRevision()
}
