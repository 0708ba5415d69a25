package tasks

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Roots are the directories that may be read.
type Roots []string

// real is a path below a root, free of symbolic links.
type real struct{ root, rel string }

func (p real) String() string { return filepath.Join(p.root, p.rel) }

// resolve follows all links of an absolute path and makes sure that it ends
// below a root.
func (rs Roots) resolve(name string) (real, error) {
	if err := checkPath(name); err != nil {
		return real{}, err
	}
	// Told before anything is looked up: what exists elsewhere is nobody's business.
	if !rs.cover(name) {
		return real{}, taskError(CodeOutsideRoots, "%q is not below a directory this agent may read: %s", name, strings.Join(rs, ", "))
	}
	target, err := filepath.EvalSymlinks(name)
	if err != nil {
		return real{}, fileError("find", name, err)
	}
	for _, root := range rs {
		root, err := filepath.EvalSymlinks(root)
		if err != nil {
			continue
		}
		if rel, ok := below(root, target); ok {
			return real{root, rel}, nil
		}
	}
	return real{}, taskError(CodeOutsideRoots, "%q is a link to a place that this agent may not read", name)
}

func checkPath(name string) error {
	switch {
	case !strings.HasPrefix(name, "/"):
		return taskError(CodeBadPath, "%q is not an absolute path", name)
	case len(name) > 4096, strings.ContainsRune(name, 0):
		return taskError(CodeBadPath, "the path is too long or has a zero byte")
	case slices.Contains(strings.Split(name, "/"), ".."):
		return taskError(CodeBadPath, "%q contains ..; write the path without it", name)
	}
	return nil
}

func (rs Roots) cover(name string) bool {
	return slices.ContainsFunc(rs, func(root string) bool {
		_, ok := below(path.Clean(root), path.Clean(name))
		return ok
	})
}

// below returns name relative to root if it is root or below it.
func below(root, name string) (string, bool) {
	if name == root {
		return ".", true
	}
	rel, ok := strings.CutPrefix(name, strings.TrimSuffix(root, "/")+"/")
	return rel, ok
}

// open opens a file or directory. Between resolve and here a link may have
// been put in the way; os.Root refuses to leave the root then.
func (p real) open() (*os.File, fs.FileInfo, error) {
	root, err := os.OpenRoot(p.root)
	if err != nil {
		return nil, nil, fileError("open", p.root, err)
	}
	defer root.Close()
	// Opening a device can do something, so look first.
	info, err := root.Lstat(p.rel)
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil, nil, taskError(CodeBadPath, "%q is neither a file nor a directory", p)
	}
	if err != nil {
		return nil, nil, fileError("open", p.String(), err)
	}
	f, err := root.OpenFile(p.rel, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fileError("open", p.String(), err)
	}
	if info, err = f.Stat(); err != nil {
		f.Close()
		return nil, nil, fileError("open", p.String(), err)
	}
	return f, info, nil
}

// openFile opens a regular file by the path a person gave.
func (rs Roots) openFile(name string) (*os.File, fs.FileInfo, error) {
	p, err := rs.resolve(name)
	if err != nil {
		return nil, nil, err
	}
	f, info, err := p.open()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		f.Close()
		return nil, nil, taskError(CodeBadPath, "%q is a directory; choose a file in it", name)
	}
	return f, info, nil
}

// pageSize is how many entries of a directory are shown at once.
const pageSize = 1000

func (rs Roots) browse(ctx context.Context, t *pharosv1.BrowseTask) (*pharosv1.BrowseResult, error) {
	if t.GetPath() == "" {
		return rs.list(), nil
	}
	p, err := rs.resolve(t.GetPath())
	if err != nil {
		return nil, err
	}
	dir, info, err := p.open()
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if !info.IsDir() {
		return nil, taskError(CodeBadPath, "%q is not a directory", t.GetPath())
	}
	names, err := pageOf(ctx, dir, t.GetAfter())
	if err != nil {
		return nil, fileError("list", t.GetPath(), err)
	}
	result := &pharosv1.BrowseResult{Path: path.Clean(t.GetPath()), More: len(names) > pageSize}
	for _, name := range names[:min(len(names), pageSize)] {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if e := rs.entry(dir, result.Path, name); e != nil {
			result.Entries = append(result.Entries, e)
		}
	}
	return result, nil
}

func (rs Roots) list() *pharosv1.BrowseResult {
	result := &pharosv1.BrowseResult{}
	for _, root := range rs {
		info, err := os.Stat(root)
		if err != nil || !info.IsDir() {
			continue
		}
		result.Entries = append(result.Entries, &pharosv1.FileEntry{Name: path.Clean(root), Dir: true, MtimeMs: info.ModTime().UnixMilli(),
			Readable: unix.Access(root, unix.R_OK|unix.X_OK) == nil})
	}
	slices.SortFunc(result.Entries, func(a, b *pharosv1.FileEntry) int { return strings.Compare(a.GetName(), b.GetName()) })
	return result
}

// pageOf returns the first pageSize+1 names after a name, sorted, without
// holding all names of a huge directory.
func pageOf(ctx context.Context, dir *os.File, after string) ([]string, error) {
	var names []string
	for {
		batch, err := dir.Readdirnames(1024)
		for _, n := range batch {
			if after == "" || n > after {
				names = append(names, n)
			}
		}
		if len(batch) == 0 || len(names) > 8*pageSize {
			slices.Sort(names)
			names = names[:min(len(names), pageSize+1)]
		}
		switch {
		case len(batch) == 0 && (err == nil || errors.Is(err, io.EOF)):
			return names, nil
		case len(batch) == 0:
			return nil, err
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
	}
}

// entry describes a directory's entry; nil for what can't be read as a log:
// devices, sockets, pipes, and entries that have just gone.
func (rs Roots) entry(dir *os.File, in, name string) *pharosv1.FileEntry {
	var st unix.Stat_t
	if unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return nil
	}
	e := &pharosv1.FileEntry{Name: name}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		e.Dir = true
	case unix.S_IFLNK:
		e.Symlink = true
		p, err := rs.resolve(path.Join(in, name))
		if err != nil {
			e.MtimeMs = st.Mtim.Nano() / 1e6
			return e // leads nowhere, or out of the roots: not readable
		}
		if unix.Stat(p.String(), &st) != nil {
			return e
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
		case unix.S_IFDIR:
			e.Dir = true
		default:
			return nil
		}
	default:
		return nil
	}
	e.MtimeMs = st.Mtim.Nano() / 1e6
	mode := uint32(unix.R_OK)
	if e.Dir {
		mode |= unix.X_OK
	} else {
		e.Size = st.Size
	}
	e.Readable = unix.Faccessat(int(dir.Fd()), name, mode, 0) == nil
	return e
}

// maxMatches bounds the work for a pattern.
const maxMatches = 20_000

// newest returns the path itself if it has no pattern, else the matching
// regular file below the roots that was written last.
func (rs Roots) newest(ctx context.Context, patterns ...string) (string, error) {
	best, bestTime := "", int64(0)
	tried := 0
	var failure error
	for _, pattern := range patterns {
		if err := checkPath(pattern); err != nil {
			return "", err
		}
		if !strings.ContainsAny(pattern, "*?[") {
			if len(patterns) == 1 {
				return pattern, nil
			}
		}
		matches, err := expand(ctx, pattern, &tried)
		if err != nil {
			return "", err
		}
		for _, m := range matches {
			p, err := rs.resolve(m)
			if err != nil {
				failure = err
				continue
			}
			info, err := os.Stat(p.String())
			if err == nil && info.Mode().IsRegular() && info.ModTime().UnixNano() >= bestTime {
				best, bestTime = m, info.ModTime().UnixNano()
			}
		}
	}
	if best != "" {
		return best, nil
	}
	if failure != nil {
		return "", failure
	}
	return "", taskError(CodeNotFound, "no file matches %s", strings.Join(patterns, ", "))
}

// expand returns the paths that match a pattern, segment by segment.
func expand(ctx context.Context, pattern string, tried *int) ([]string, error) {
	found := []string{"/"}
	segments := strings.Split(strings.Trim(path.Clean(pattern), "/"), "/")
	for i, segment := range segments {
		var next []string
		for _, dir := range found {
			if !strings.ContainsAny(segment, `*?[\`) {
				next = append(next, path.Join(dir, segment))
				continue
			}
			d, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY, 0) // a pipe would block
			if err != nil {
				continue
			}
			entries, _ := d.ReadDir(maxMatches - *tried)
			d.Close()
			for _, e := range entries {
				if *tried++; *tried >= maxMatches || ctx.Err() != nil {
					return nil, taskError(CodeBadRequest, "%q matches too much to look through; make it narrower", pattern)
				}
				ok, err := path.Match(segment, e.Name())
				if err != nil {
					return nil, taskError(CodeBadPath, "%q is not a valid pattern; close every [", pattern)
				}
				isDir := e.IsDir() || e.Type()&fs.ModeSymlink != 0
				if ok && (isDir || i == len(segments)-1) {
					next = append(next, path.Join(dir, e.Name()))
				}
			}
		}
		found = next
	}
	return found, nil
}
