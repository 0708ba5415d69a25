package embedded

import (
	"context"
	"sync"
	"time"

	"github.com/VictoriaMetrics/VictoriaMetrics/lib/storage"
)

// syncer is what makeDurable needs of an engine.
type syncer interface {
	// flush makes parts in memory of what is buffered before that.
	flush()
	// snapshot writes the parts in memory to disk, but for those that are just
	// being merged with each other.
	snapshot() error
	// inMemory is how much there is that isn't on disk.
	inMemory() uint64
}

// mergePause is how long makeDurable waits for merges in memory.
const mergePause = 2 * time.Millisecond

// makeDurable returns when all that was written before it is on disk. One
// snapshot isn't enough: it leaves out the rows of the last second (VictoriaLogs)
// and what is in a merge (both). So most is written while others write on, and
// the rest until nothing is left while they wait.
func makeDurable(ctx context.Context, e syncer, writing *sync.RWMutex) error {
	e.flush()
	if err := e.snapshot(); err != nil {
		return err
	}
	writing.Lock()
	defer writing.Unlock()
	for e.flush(); e.inMemory() > 0; {
		if err := e.snapshot(); err != nil {
			return err
		}
		if e.inMemory() == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(mergePause):
		}
	}
	return nil
}

func (l *level) flush() { l.engine.DebugFlush() }

func (l *level) snapshot() error {
	return l.engine.DeleteSnapshot(l.engine.MustCreateSnapshot())
}

func (l *level) inMemory() uint64 {
	var m storage.Metrics
	l.engine.UpdateMetrics(&m)
	return m.TableMetrics.PendingRows + m.TableMetrics.InmemoryPartsCount +
		m.TableMetrics.IndexDBMetrics.PendingItems + m.TableMetrics.IndexDBMetrics.InmemoryPartsCount
}
