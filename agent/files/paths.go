package files

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Within reports whether path lies in one of the roots.
func Within(path string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return root == "/" || path == root || strings.HasPrefix(path, strings.TrimSuffix(root, "/")+"/")
	})
}

// The reasons of CheckLinks, for Problem.
var (
	errLinkUndeclared = errors.New("declare it as symlink_part")
	errLinkLevels     = errors.New("only one link level is followed")
	errOutsideRoots   = errors.New("outside of the directories this agent may read")
)

// Problem classes what keeps a file from being read, for programs:
// link_undeclared, link_levels, outside_roots, denied or other; empty for nil.
func Problem(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, errLinkUndeclared):
		return "link_undeclared"
	case errors.Is(err, errLinkLevels):
		return "link_levels"
	case errors.Is(err, errOutsideRoots):
		return "outside_roots"
	case errors.Is(err, fs.ErrPermission):
		return "denied"
	}
	return "other"
}

// CheckLinks says why path may not be read: it leads over a symbolic link that
// is not declared, over more than one level of links, or out of the roots
// (LOG-8). declared is the part of the path that may be a link; empty for none.
// Links above a root belong to the machine and are followed.
func CheckLinks(path, declared string, roots []string) error {
	if !Within(path, roots) {
		return fmt.Errorf("%s is %w (%s)", path, errOutsideRoots, strings.Join(roots, ", "))
	}
	declared = strings.TrimSuffix(declared, "/")
	for i := 1; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			continue
		}
		part := path[:i]
		info, err := os.Lstat(part)
		if err != nil {
			return err
		}
		if info.Mode()&os.ModeSymlink == 0 || !slices.ContainsFunc(roots, func(r string) bool { return Within(part, []string{r}) && part != r }) && part != declared {
			continue
		}
		if part != declared {
			return fmt.Errorf("%s is a symbolic link; %w", part, errLinkUndeclared)
		}
		target, err := os.Readlink(part)
		if err != nil {
			return err
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(part), target)
		}
		next, err := os.Lstat(target)
		if err != nil {
			return err
		}
		if next.Mode()&os.ModeSymlink != 0 {
			return fmt.Errorf("%s leads to %s, which is a symbolic link again; %w", part, target, errLinkLevels)
		}
		if !Within(target, roots) {
			return fmt.Errorf("%s leads to %s, %w (%s)", part, target, errOutsideRoots, strings.Join(roots, ", "))
		}
	}
	return nil
}

// Sibling is a file beside a log that may be a generation of it.
type Sibling struct {
	Path string
	Info
}

func digits(s string) int {
	return len(s) - len(strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, s))
}

// packed are endings of generations that can't be read on.
var packed = []string{".gz", ".bz2", ".xz", ".zst", ".zip", ".lz4", ".tmp"}

// named reports whether a file called name may be a generation of the log base.
func named(base, name string) bool {
	ext := filepath.Ext(base)
	rest, ok := strings.CutPrefix(name, base)
	if !ok {
		if rest, ok = strings.CutPrefix(name, strings.TrimSuffix(base, ext)); ok {
			// x-1.log may be a log of its own; x-20261123.log is x.log's.
			ok = strings.HasSuffix(name, ext) && digits(rest) >= 8
		}
	}
	return ok && name != base && !slices.ContainsFunc(packed, func(p string) bool { return strings.HasSuffix(rest, p) })
}

// MayBeGeneration reports whether name, by its name, may be a rotated
// generation or copy of the log path.
func MayBeGeneration(path, name string) bool {
	return filepath.Dir(path) == filepath.Dir(name) && named(filepath.Base(path), filepath.Base(name))
}

// ByInode returns the path of a file in dir, empty if it isn't there.
func ByInode(dir string, id Inode) (string, error) {
	found, err := list(dir, func(e os.DirEntry) bool {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			return false
		}
		s, ok := info.Sys().(*syscall.Stat_t)
		return ok && s.Ino == id.Ino
	}, func(s []Sibling) bool { return slices.ContainsFunc(s, func(s Sibling) bool { return s.Inode == id }) })
	for _, s := range found {
		if s.Inode == id {
			return s.Path, nil
		}
	}
	return "", err
}

// list returns the regular files of dir that wanted picks. Names that change
// while a directory is read may be missed, as in the middle of a rotation: it
// is read again until it has been still, or enough says that this will do.
func list(dir string, wanted func(os.DirEntry) bool, enough func([]Sibling) bool) ([]Sibling, error) {
	const still, pause, tries = 10 * time.Millisecond, 3 * time.Millisecond, 100
	for try := 1; ; try++ {
		before, err := os.Stat(dir)
		if err != nil {
			return nil, err
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		var out []Sibling
		for _, e := range entries {
			if !e.Type().IsRegular() || !wanted(e) {
				continue
			}
			name := filepath.Join(dir, e.Name())
			if info, err := Stat(name); err == nil && info.Regular {
				out = append(out, Sibling{name, info})
			}
		}
		after, err := os.Stat(dir)
		if err != nil {
			return nil, err
		}
		if try == tries || enough(out) || after.ModTime().Equal(before.ModTime()) && time.Since(after.ModTime()) > still {
			return out, nil
		}
		time.Sleep(pause)
	}
}

// Siblings lists the files beside path that may be rotated generations of it,
// by modification time: regular, not compressed, and named after it, such as
// x.log.1, x.log-20261123 or x.2026-11-23.log for x.log.
func Siblings(path string) ([]Sibling, error) {
	dir, base := filepath.Split(path)
	out, err := list(filepath.Clean(dir), func(e os.DirEntry) bool { return named(base, e.Name()) }, func([]Sibling) bool { return false })
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b Sibling) int {
		return cmp.Or(cmp.Compare(a.MtimeNs, b.MtimeNs), cmp.Compare(a.BirthNs, b.BirthNs), cmp.Compare(b.Path, a.Path))
	})
	return out, nil
}
