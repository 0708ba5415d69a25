// Package files tells log files apart: by inode and birth time, and by what is
// in them, so that a rotated, copied, truncated or replaced file is recognised
// for what it is, also after its inode was reused.
package files

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// headMax and tailMax bound the bytes that are compared.
	headMax = 1024
	tailMax = 256
)

// Inode names a file on this machine. BirthNs is 0 where the file system
// doesn't know it.
type Inode struct {
	Dev, Ino uint64
	BirthNs  int64
}

// Info is what stat says of a file.
type Info struct {
	Inode
	Size    int64
	MtimeNs int64
	Regular bool
	// Deleted is set when no name leads to the file any more.
	Deleted bool
}

// Open opens a regular file to be read. Anything else is refused without
// waiting, such as a pipe without a writer.
func Open(path string) (*os.File, Info, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, Info{}, err
	}
	info, err := StatFile(f)
	if err == nil && !info.Regular {
		err = fmt.Errorf("cannot read %q: it is not a regular file", path)
	}
	if err != nil {
		return nil, Info{}, errors.Join(err, f.Close())
	}
	return f, info, nil
}

// Stat follows symbolic links.
func Stat(path string) (Info, error) { return statx(unix.AT_FDCWD, path, 0) }

// StatFile describes an open file.
func StatFile(f *os.File) (Info, error) { return statx(int(f.Fd()), "", unix.AT_EMPTY_PATH) }

func statx(dir int, path string, flags int) (Info, error) {
	var s unix.Statx_t
	if err := unix.Statx(dir, path, flags, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &s); err != nil {
		return Info{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	i := Info{Size: int64(s.Size), MtimeNs: s.Mtime.Sec*1e9 + int64(s.Mtime.Nsec), Regular: s.Mode&unix.S_IFMT == unix.S_IFREG,
		Deleted: s.Nlink == 0}
	i.Inode = Inode{Dev: unix.Mkdev(s.Dev_major, s.Dev_minor), Ino: s.Ino}
	if s.Mask&unix.STATX_BTIME != 0 {
		i.BirthNs = s.Btime.Sec*1e9 + int64(s.Btime.Nsec)
	}
	return i, nil
}

// Content identifies what was read of a file: hashes of its first bytes and of
// the bytes just before the offset.
type Content struct {
	HeadLen, TailLen int
	Head, Tail       uint64
}

// Of returns the content up to offset of a file.
func Of(f *os.File, offset int64) (Content, error) {
	var c Content
	c.HeadLen, c.TailLen = int(min(offset, headMax)), int(min(offset, tailMax))
	var err error
	if c.Head, err = hashAt(f, 0, c.HeadLen); err != nil {
		return c, err
	}
	c.Tail, err = hashAt(f, offset-int64(c.TailLen), c.TailLen)
	return c, err
}

// Move returns the content at a further offset, reading only what has changed.
func (c Content) Move(f *os.File, offset int64) (Content, error) {
	if c.HeadLen < headMax {
		return Of(f, offset)
	}
	c.TailLen = int(min(offset, tailMax))
	var err error
	c.Tail, err = hashAt(f, offset-int64(c.TailLen), c.TailLen)
	return c, err
}

// Matches reports whether f holds the same bytes up to offset, as far as the
// hashes tell. Nothing read matches everything.
func (c Content) Matches(f *os.File, offset int64) (bool, error) {
	tail, err := hashAt(f, offset-int64(c.TailLen), c.TailLen)
	if err != nil || tail != c.Tail {
		return false, ignoreEOF(err)
	}
	head, err := hashAt(f, 0, c.HeadLen)
	return err == nil && head == c.Head, ignoreEOF(err)
}

// MatchesTail is the cheap half of Matches.
func (c Content) MatchesTail(f *os.File, offset int64) (bool, error) {
	tail, err := hashAt(f, offset-int64(c.TailLen), c.TailLen)
	return err == nil && tail == c.Tail, ignoreEOF(err)
}

// Same reports whether a and b hold the same bytes from from to to.
func Same(a, b *os.File, from, to int64) (bool, error) {
	var x, y [16 << 10]byte
	for from < to {
		n := int(min(to-from, int64(len(x))))
		if got, err := a.ReadAt(x[:n], from); got < n {
			return false, ignoreEOF(err)
		}
		if got, err := b.ReadAt(y[:n], from); got < n {
			return false, ignoreEOF(err)
		}
		if !bytes.Equal(x[:n], y[:n]) {
			return false, nil
		}
		from += int64(n)
	}
	return true, nil
}

// HasAt reports whether want stands in f at offset.
func HasAt(f *os.File, want []byte, offset int64) (bool, error) {
	var x [16 << 10]byte
	for len(want) > 0 {
		n := min(len(want), len(x))
		if got, err := f.ReadAt(x[:n], offset); got < n {
			return false, ignoreEOF(err)
		}
		if !bytes.Equal(x[:n], want[:n]) {
			return false, nil
		}
		want, offset = want[n:], offset+int64(n)
	}
	return true, nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func hashAt(f *os.File, at int64, n int) (uint64, error) {
	if n == 0 {
		return 0, nil // so that a zero Content is that of nothing
	}
	var buf [headMax]byte
	if got, err := f.ReadAt(buf[:n], at); got < n {
		return 0, fmt.Errorf("cannot read %d bytes at %d of %q: %w", n, at, f.Name(), err)
	}
	h := fnv.New64a()
	h.Write(buf[:n])
	return h.Sum64(), nil
}
