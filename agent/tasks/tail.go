package tasks

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hpcloud/tail"

	"github.com/pharos-stack/pharos/internal/logrule"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

const (
	// tailRate is how many lines a second are shown.
	tailRate = 1000
	// tailFlush is how long a line may wait for others to travel with.
	tailFlush = 200 * time.Millisecond
	// tailCheck is how often rotation is looked for.
	tailCheck = 500 * time.Millisecond
	// maxTailLine ends the task: the library would hold a longer line in memory.
	maxTailLine = 4 << 20
	// maxBatch bytes travel at once.
	maxBatch = 512 << 10
)

// follower follows one path over the files that stand there one after another.
//
// The library is given /proc/self/fd/N of a file that was opened below the
// roots, so that it can't be led elsewhere by a link, and so that its watcher,
// which ends the process when it may not stat a path, always may. Rotation is
// therefore followed here.
type follower struct {
	roots    Roots
	path     string
	enc      logrule.Encoding
	contains string
	emit     func(*pharosv1.TailLines) error

	file   *os.File
	tail   *tail.Tail
	at     int64 // where the line begins that the library waits for; its own Tell is not for other goroutines
	before int64 // at when last checked
	late   int   // checks since another file stands at the path
	batch  *pharosv1.TailLines
	bytes  int
	second time.Time
	shown  int
}

func (rs Roots) tail(ctx context.Context, t *pharosv1.TailTask, emit func(*pharosv1.TailLines) error) error {
	enc, err := checkEncoding(t.GetEncoding())
	if err != nil {
		return err
	}
	path, err := rs.newest(ctx, logrule.ExpandDate(t.GetPath(), time.Now()))
	if err != nil {
		return err
	}
	f := &follower{roots: rs, path: path, enc: enc, contains: t.GetContains(), emit: emit, batch: &pharosv1.TailLines{}}
	file, info, err := rs.openFile(path)
	if err != nil {
		return err
	}
	from, err := startOfLast(file, info.Size(), int(min(t.GetLines(), maxLines)))
	if err != nil {
		file.Close()
		return fileError("read", path, err)
	}
	if err := f.open(file, from); err != nil {
		return err
	}
	defer f.close()
	if err := f.flush(true); err != nil { // says that following has begun
		return err
	}
	return f.run(ctx)
}

// startOfLast is the offset of the n-th last complete line.
func startOfLast(file *os.File, size int64, n int) (int64, error) {
	block := make([]byte, min(size, maxRead))
	base := size - int64(len(block))
	read, err := file.ReadAt(block, base)
	if read < len(block) && err != nil {
		return 0, err
	}
	seen := 0
	for i := len(block) - 1; i >= 0; i-- {
		if block[i] == '\n' {
			if seen++; seen == n+1 {
				return base + int64(i) + 1, nil
			}
		}
	}
	if base == 0 {
		return 0, nil
	}
	return size, nil // lines too long to show: begin here
}

func (f *follower) open(file *os.File, from int64) error {
	t, err := tail.TailFile(fmt.Sprintf("/proc/self/fd/%d", file.Fd()), tail.Config{
		Location: &tail.SeekInfo{Offset: from}, Follow: true, MustExist: true, Poll: true, Logger: tail.DiscardingLogger})
	if err != nil {
		file.Close()
		return fileError("follow", f.path, err)
	}
	f.file, f.tail, f.at, f.before, f.late = file, t, from, from, 0
	return nil
}

// close ends the library's goroutine, which may be about to hand over a line.
func (f *follower) close() {
	if f.tail == nil {
		return
	}
	f.tail.Kill(nil)
	for range f.tail.Lines {
	}
	_ = f.tail.Wait() // it was told to end
	f.file.Close()
	f.tail = nil
}

func (f *follower) run(ctx context.Context) error {
	flush, check := time.NewTicker(tailFlush), time.NewTicker(tailCheck)
	defer flush.Stop()
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case line, ok := <-f.tail.Lines:
			if !ok {
				return fileError("follow", f.path, f.tail.Err())
			}
			if err := f.take(line); err != nil {
				return err
			}
		case <-flush.C:
			if err := f.flush(false); err != nil {
				return err
			}
		case <-check.C:
			if err := f.check(ctx); err != nil {
				return err
			}
		}
	}
}

func (f *follower) take(line *tail.Line) error {
	text := line.Text
	f.at += int64(len(text)) + 1
	enc := f.enc
	if enc == logrule.EncodingAuto && !utf8.ValidString(text) {
		enc = logrule.EncodingGB18030
	}
	shown := decode([]byte(text), enc)
	if f.contains != "" && !strings.Contains(shown, f.contains) {
		return nil
	}
	if now := time.Now(); now.Sub(f.second) >= time.Second {
		f.second, f.shown = now, 0
	}
	if f.shown >= tailRate {
		f.batch.Skipped++
		return nil
	}
	f.shown++
	f.batch.Lines = append(f.batch.Lines, shown)
	if f.bytes += len(shown); f.bytes > maxBatch {
		return f.flush(false)
	}
	return nil
}

func (f *follower) flush(empty bool) error {
	if !empty && len(f.batch.GetLines()) == 0 && f.batch.GetSkipped() == 0 {
		return nil
	}
	batch := f.batch
	f.batch, f.bytes = &pharosv1.TailLines{}, 0
	return f.emit(batch)
}

// check looks whether another file stands at the path now, and whether the
// line being written is too long.
func (f *follower) check(ctx context.Context) error {
	own, err := f.file.Stat()
	if err != nil {
		return fileError("follow", f.path, err)
	}
	size := own.Size()
	f.at = min(f.at, size) // it was truncated
	if f.at == f.before && size-f.at > maxTailLine {
		return taskError(CodeFailed, "%q has a line longer than %d bytes; it can't be followed", f.path, maxTailLine)
	}
	f.before = f.at
	file, info, err := f.roots.openFile(f.path)
	if err != nil {
		return nil // gone for a moment, or for good: what is written to the old file is still shown
	}
	if os.SameFile(own, info) {
		f.late = 0
		return file.Close()
	}
	// The library polls, and its StopAtEOF ends a waiting poll unread: let it
	// come to the end first, but not for ever since the line there may lack its end.
	if f.late++; f.late == 1 || f.at < size && f.late < 8 {
		return file.Close()
	}
	if err := f.finish(ctx); err != nil {
		file.Close()
		return err
	}
	return f.open(file, 0)
}

// finish shows the rest of a file that was rotated away.
func (f *follower) finish(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = f.tail.StopAtEOF() // its error says only that it was stopped
	}()
	// It needs someone to read on meanwhile.
	var failure error
	for line := range f.tail.Lines {
		if failure == nil {
			failure = f.take(line)
		}
		if failure == nil {
			failure = ctx.Err()
		}
		if failure != nil {
			f.tail.Kill(nil)
		}
	}
	<-ended
	f.file.Close()
	f.tail = nil
	return failure
}
