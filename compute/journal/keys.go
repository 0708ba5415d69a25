package journal

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// The kinds of records, the first byte of a key.
const (
	kindFormat     = 'f'
	kindPart       = 'p'
	kindBase       = 'b'
	kindSettled    = 's'
	kindMark       = 'u'
	kindIncomplete = 'i'
	kindRollup     = 'r'
	kindSamples    = 'm'
	kindKey        = 'k'
	kindCursor     = 'c'
	kindTask       = 't'
	kindState      = 'e'
)

const formatVersion = 1

// WindowID names a window of a monitor.
type WindowID struct {
	Monitor           string
	StartMs, LengthMs int64
}

// EndMs is the window's end.
func (w WindowID) EndMs() int64 { return w.StartMs + w.LengthMs }

// PartID names a part of a window.
type PartID struct {
	Task, Agent string
	Part        uint64
}

var errKey = errors.New("key is cut short")

// appendWindow appends kind, start, length and monitor: by start first, so
// that all windows before a time are one range.
func appendWindow(dst []byte, kind byte, w WindowID) []byte {
	dst = append(dst, kind)
	dst = binary.BigEndian.AppendUint64(dst, uint64(w.StartMs))
	dst = binary.BigEndian.AppendUint32(dst, uint32(w.LengthMs))
	return appendText(dst, w.Monitor)
}

func appendPart(dst []byte, w WindowID, p PartID) []byte {
	dst = appendWindow(dst, kindPart, w)
	dst = appendText(dst, p.Task)
	dst = appendText(dst, p.Agent)
	return binary.BigEndian.AppendUint64(dst, p.Part)
}

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func cutText(b []byte) (string, []byte, error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || uint64(len(b)-size) < n {
		return "", nil, errKey
	}
	b = b[size:]
	return string(b[:n]), b[n:], nil
}

func cutWindow(key []byte) (w WindowID, rest []byte, err error) {
	if len(key) < 13 {
		return w, nil, errKey
	}
	w.StartMs = int64(binary.BigEndian.Uint64(key[1:]))
	w.LengthMs = int64(binary.BigEndian.Uint32(key[9:]))
	w.Monitor, rest, err = cutText(key[13:])
	return w, rest, err
}

// after returns the first key behind all that begin with prefix.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

func (j *Journal) checkFormat() error {
	v, closer, err := j.db.Get([]byte{kindFormat})
	if errors.Is(err, pebble.ErrNotFound) {
		return j.db.Set([]byte{kindFormat}, []byte{formatVersion}, pebble.Sync)
	}
	if err != nil {
		return fmt.Errorf("cannot read journal %q: %w", j.opts.Dir, err)
	}
	defer closer.Close()
	if len(v) != 1 || v[0] != formatVersion {
		return fmt.Errorf("cannot use journal %q: it has format %v, this program writes %d", j.opts.Dir, v, formatVersion)
	}
	return nil
}
