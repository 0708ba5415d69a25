package journal

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"google.golang.org/protobuf/proto"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Batch collects what one Commit takes. It is not safe for concurrent use and
// is used once.
type Batch struct {
	b   *pebble.Batch
	err error
	key []byte
}

// NewBatch returns an empty batch.
func (j *Journal) NewBatch() *Batch { return &Batch{b: j.db.NewBatch()} }

// Discard frees a batch that won't be committed.
func (b *Batch) Discard() { _ = b.b.Close() }

// Bytes is the size of the batch.
func (b *Batch) Bytes() int { return b.b.Len() }

// Empty tells whether nothing was put.
func (b *Batch) Empty() bool { return b.b.Empty() }

func (b *Batch) check(err error) {
	if b.err == nil && err != nil {
		b.err = fmt.Errorf("cannot prepare journal batch: %w", err)
	}
}

func (b *Batch) set(value []byte) { b.check(b.b.Set(b.key, value, nil)) }

func (b *Batch) del() { b.check(b.b.Delete(b.key, nil)) }

// setMessage marshals straight into the batch, after head.
func (b *Batch) setMessage(m proto.Message, head ...byte) {
	size := proto.Size(m)
	op := b.b.SetDeferred(len(b.key), len(head)+size)
	copy(op.Key, b.key)
	copy(op.Value, head)
	out, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(op.Value[:len(head)], m)
	if err == nil && len(out) != len(head)+size {
		err = fmt.Errorf("message of %d bytes announced %d", len(out)-len(head), size)
	}
	b.check(err)
	b.check(op.Finish())
}

// PutPart puts a revision of a part in place of the one before.
func (b *Batch) PutPart(w WindowID, agent string, r *pharosv1.Revision) {
	b.key = appendPart(b.key[:0], w, PartID{Task: r.GetTaskId(), Agent: agent, Part: r.GetPart()})
	var head [9]byte
	binary.BigEndian.PutUint64(head[:], r.GetRevision())
	if r.GetSealed() {
		head[8] = 1
	}
	b.setMessage(r, head[:]...)
}

// Mark says that a window has to be settled, or written to the store again,
// if the process dies before Unmark.
func (b *Batch) Mark(w WindowID) {
	b.key = appendWindow(b.key[:0], kindMark, w)
	b.set(nil)
}

// Unmark takes the mark from a window.
func (b *Batch) Unmark(w WindowID) {
	b.key = appendWindow(b.key[:0], kindMark, w)
	b.del()
}

// MarkRollup says that a bucket of rollups, which has the form of a window,
// has to be computed if the process dies before UnmarkRollup.
func (b *Batch) MarkRollup(bucket WindowID) {
	b.key = appendWindow(b.key[:0], kindRollup, bucket)
	b.set(nil)
}

// UnmarkRollup takes the mark from a bucket.
func (b *Batch) UnmarkRollup(bucket WindowID) {
	b.key = appendWindow(b.key[:0], kindRollup, bucket)
	b.del()
}

// PutSettled puts what is known of a settled window.
func (b *Batch) PutSettled(w WindowID, s *Settled) {
	b.key = appendWindow(b.key[:0], kindSettled, w)
	b.setMessage(s.message())
	b.key = appendWindow(b.key[:0], kindIncomplete, w)
	if len(s.Missing) > 0 {
		b.set(nil)
	} else {
		b.del()
	}
}

// PutSamples keeps an agent's samples until the store has them. Numbers of
// samples grow.
func (b *Batch) PutSamples(seq uint64, agent string, s *pharosv1.Samples) {
	b.key = binary.BigEndian.AppendUint64(append(b.key[:0], kindSamples), seq)
	b.setMessage(s, appendText(nil, agent)...)
}

// DropSamples forgets samples up to and including a number.
func (b *Batch) DropSamples(last uint64) {
	end := binary.BigEndian.AppendUint64([]byte{kindSamples}, last+1)
	b.check(b.b.DeleteRange([]byte{kindSamples}, end, nil))
}

// PutKey says when a monitor's key was seen last.
func (b *Batch) PutKey(monitor, key string, seenMs int64) {
	b.key = append(appendText(append(b.key[:0], kindKey), monitor), key...)
	b.set(binary.BigEndian.AppendUint64(nil, uint64(seenMs)))
}

// DropKey forgets a key.
func (b *Batch) DropKey(monitor, key string) {
	b.key = append(appendText(append(b.key[:0], kindKey), monitor), key...)
	b.del()
}

// PutCursor says where a monitor's next window to settle starts.
func (b *Batch) PutCursor(monitor string, startMs int64) {
	b.key = appendText(append(b.key[:0], kindCursor), monitor)
	b.set(binary.BigEndian.AppendUint64(nil, uint64(startMs)))
}

// PutTask keeps a monitor as it was defined under a task.
func (b *Batch) PutTask(m *pharosv1.MonitorInfo) {
	b.key = appendText(append(b.key[:0], kindTask), m.GetTaskId())
	b.setMessage(m)
}

// PutState keeps the state of the cluster.
func (b *Batch) PutState(s *pharosv1.ClusterState) {
	b.key = append(b.key[:0], kindState)
	b.setMessage(s)
}

// Expire forgets everything about windows that start before a time.
func (b *Batch) Expire(beforeMs int64) {
	for _, kind := range []byte{kindPart, kindBase, kindSettled, kindMark, kindIncomplete} {
		end := binary.BigEndian.AppendUint64([]byte{kind}, uint64(max(0, beforeMs)))
		b.check(b.b.DeleteRange([]byte{kind}, end, nil))
	}
}
