package files

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func put(t *testing.T, path, text string) *os.File {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	f, _, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestGenerationsByName(t *testing.T) {
	for name, want := range map[string]bool{"x.log.1": true, "x.log-20261123": true, "x.log.2026-11-23": true, "x-20261123.log": true, "x.2026-11-23.log": true,
		"x.log": false, "x-1.log": false, "x.log.1.gz": false, "xy.log": false, "y.log.1": false} {
		if got := MayBeGeneration("/d/x.log", "/d/"+name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if MayBeGeneration("/d/x.log", "/e/x.log.1") {
		t.Error("a file of another directory")
	}
}

func TestSiblingsByTime(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"x.log", "x.log.3", "x.log.2", "x.log.1", "other", "x.log.4.gz"} {
		put(t, filepath.Join(dir, name), name)
	}
	if err := os.Mkdir(filepath.Join(dir, "x.log.dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	all, err := Siblings(filepath.Join(dir, "x.log"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(all, func(a, b Sibling) int { return int(a.MtimeNs - b.MtimeNs) }) || len(all) != 3 {
		t.Errorf("got %v", all)
	}
	name, err := ByInode(dir, all[0].Inode)
	if err != nil || name != all[0].Path {
		t.Errorf("by inode: %q, %v", name, err)
	}
}

func TestContentTellsFilesApart(t *testing.T) {
	dir := t.TempDir()
	text := strings.Repeat("0123456789", 500)
	f := put(t, filepath.Join(dir, "a"), text)
	var c Content
	for _, offset := range []int64{0, 10, 300, 1024, 3000, 5000} {
		var err error
		if c, err = c.Move(f, offset); err != nil {
			t.Fatal(err)
		}
		for name, other := range map[string]struct {
			text string
			same bool
		}{
			"longer":      {text + "more", true},
			"other head":  {"x" + text[1:], offset == 0},
			"other tail":  {text[:max(0, offset-1)] + "x" + text[offset:], offset == 0},
			"cut":         {text[:max(0, offset-1)], offset == 0},
			"other after": {text[:offset] + "x", true},
		} {
			ok, err := c.Matches(put(t, filepath.Join(dir, "b"), other.text), offset)
			if err != nil || ok != other.same {
				t.Errorf("offset %d, %s: %v, %v", offset, name, ok, err)
			}
		}
	}
}

func TestOpenTakesOnlyFiles(t *testing.T) {
	if _, _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: %v", err)
	}
	if _, _, err := Open("/dev/zero"); err == nil {
		t.Error("a device")
	}
}

func TestLinksAreCheckedInsideOfRoots(t *testing.T) {
	dir := t.TempDir()
	outside := t.TempDir()
	put(t, filepath.Join(dir, "x.log"), "x")
	put(t, filepath.Join(outside, "x.log"), "x")
	link := func(target, name string) string {
		name = filepath.Join(dir, name)
		if err := os.Symlink(target, name); err != nil {
			t.Fatal(err)
		}
		return name
	}
	one := link("x.log", "one")
	two := link("one", "two")
	away := link(outside, "away")
	for _, c := range []struct{ path, declared, want string }{
		{filepath.Join(dir, "x.log"), "", ""},
		{one, "", "declare it"},
		{one, one, ""},
		{two, two, "only one link level"},
		{away + "/x.log", away, "outside of the directories"},
		{outside + "/x.log", "", "outside of the directories"},
	} {
		err := CheckLinks(c.path, c.declared, []string{dir})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s declared %q: %v", c.path, c.declared, err)
		}
	}
}
