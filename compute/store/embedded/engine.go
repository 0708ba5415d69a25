package embedded

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/VictoriaMetrics/lib/logger"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/storage"
	"golang.org/x/sys/unix"
)

// engine holds what VictoriaMetrics' packages keep per process: their command
// line flags, cache sizes and logger. The first store opened sets the memory.
var engine struct {
	once sync.Once
	log  engineLog
}

// flushInterval is how long samples and rows stay in memory only, at most.
const flushInterval = 5 * time.Second

// startEngine makes the process ready for the libraries. They refuse to work
// before flag.Parse, and Pharos does not use package flag, so an empty command
// line is parsed for them.
func startEngine(memoryBytes int64, log *slog.Logger) error {
	var err error
	engine.once.Do(func() {
		if !flag.Parsed() {
			if err = flag.CommandLine.Parse(nil); err != nil {
				return
			}
		}
		if memoryBytes <= 0 {
			memoryBytes = defaultMemory()
		}
		for name, value := range map[string]string{
			"memory.allowedBytes":     strconv.FormatInt(memoryBytes, 10),
			"loggerDisableTimestamps": "true",
		} {
			if err = flag.Set(name, value); err != nil {
				return
			}
		}
		logger.SetOutputForTests(&engine.log)
		// Deduplication would keep the larger of two samples, not the later revision.
		storage.SetDedupInterval(0)
		storage.SetDataFlushInterval(flushInterval)
		// The cache of what filters select is reset only some seconds after a new
		// series; until then a query that once found nothing would go on to find
		// nothing. No entry fits in a byte.
		storage.SetTagFiltersCacheSize(1)
	})
	if err != nil {
		return fmt.Errorf("cannot set up the storage engine: %w", err)
	}
	engine.log.to.Store(log)
	return nil
}

// defaultMemory is a quarter of the machine's memory, or of its cgroup's, but
// not less than 64 MB and not more than 4 GB.
func defaultMemory() int64 {
	total := int64(1 << 30)
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		total = int64(info.Totalram) * int64(info.Unit)
	}
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && limit > 0 {
			total = min(total, limit)
		}
	}
	return min(max(total/4, 64<<20), 4<<30)
}

// engineLog turns the libraries' log lines (level, place, text, separated by
// tabs) into records. Their information is our debugging.
type engineLog struct{ to atomic.Pointer[slog.Logger] }

func (l *engineLog) Write(line []byte) (int, error) {
	to := l.to.Load()
	if to == nil {
		return len(line), nil
	}
	parts := bytes.SplitN(bytes.TrimSuffix(line, []byte("\n")), []byte("\t"), 3)
	if len(parts) < 3 {
		to.Debug(string(line))
		return len(line), nil
	}
	level := slog.LevelDebug
	switch string(parts[0]) {
	case "warn":
		level = slog.LevelWarn
	case "error", "fatal", "panic":
		level = slog.LevelError
	}
	to.Log(context.Background(), level, string(parts[2]), "from", string(parts[1]))
	return len(line), nil
}

// disk guards a directory against filling its file system: the libraries end
// the process when a write fails, so writes are refused while there is still room.
type disk struct {
	dir     string
	reserve uint64
	refused atomic.Uint64
}

// free returns the free bytes of the directory's file system.
func (d *disk) free() (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(d.dir, &st); err != nil {
		return 0, fmt.Errorf("cannot read free space of %q: %w", d.dir, err)
	}
	return st.Bavail * uint64(st.Bsize), nil
}

// require fails when less than the given part of the reserve is free.
func (d *disk) require(bytes uint64, refusal error) error {
	free, err := d.free()
	if err != nil {
		return err
	}
	if free < bytes {
		d.refused.Add(1)
		return fmt.Errorf("cannot write to %q: %d MB free, %d MB are kept in reserve: %w", d.dir, free>>20, bytes>>20, refusal)
	}
	return nil
}
