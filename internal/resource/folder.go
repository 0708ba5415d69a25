package resource

import (
	"strings"
	"unicode/utf8"

	"github.com/pharos-stack/pharos/internal/fielderr"
)

// FolderSpec is the spec of a Folder: a place for resources, in a tree.
// Resources say themselves where they stand (Metadata.Folder).
type FolderSpec struct {
	// Title is the name people see, 1 to 64 characters, unique among the
	// folders of one parent without regard to case.
	Title string `json:"title" yaml:"title" doc:"Name people see, unique among its siblings" minLength:"1" maxLength:"64"`
	// Parent is the name of the folder it stands in; empty for the top.
	Parent string `json:"parent,omitempty" yaml:"parent,omitempty" doc:"Name of the folder it stands in; empty: the top"`
	// Order among its siblings; equal ones are ordered by title.
	Order int `json:"order,omitempty" yaml:"order,omitempty" doc:"Place among its siblings; equal ones are ordered by title"`
}

// Limits of folders (spec 05 §6.14 and §18.2).
const (
	MaxFolderDepth = 5
	MaxFolders     = 500
)

// TopFolder stands in Metadata.Folder for no folder at all.
const TopFolder = "/"

// WithDefaults returns the spec; folders have no defaults.
func (s FolderSpec) WithDefaults() FolderSpec { return s }

// Validate checks what can be told from the spec alone.
func (s FolderSpec) Validate(prefix string) error {
	var es fielderr.Errors
	if n := utf8.RuneCountInString(strings.TrimSpace(s.Title)); n < 1 || utf8.RuneCountInString(s.Title) > 64 {
		es.Add(join(prefix, "title"), "bad_title", "has %d characters; give 1 to 64", n)
	}
	return es.Err()
}

// checkFolder checks a folder among the others of its workspace: no ring, not
// too deep with all below it, no sibling of the same title.
func checkFolder(name string, spec any, others map[string]any) error {
	s := spec.(FolderSpec)
	self := nameKey(name)
	folders := map[string]FolderSpec{self: s}
	for other, o := range others {
		if k := nameKey(other); k != self {
			folders[k] = o.(FolderSpec)
		}
	}
	var es fielderr.Errors
	if len(folders) > MaxFolders {
		es.Add("spec", "too_many", "there are %d folders already; at most %d in a workspace", len(folders)-1, MaxFolders)
	}
	// depthOf a folder counts itself; a ring is deeper than anything.
	depthOf := func(name string) int {
		depth := 0
		for at := nameKey(name); at != "" && depth <= len(folders); at = nameKey(folders[at].Parent) {
			depth++
		}
		return depth
	}
	for k, f := range folders {
		if k != self && nameKey(f.Parent) == nameKey(s.Parent) && nameKey(f.Title) == nameKey(s.Title) {
			es.Add("spec.title", "duplicate_name", "there is a folder %q in the same place already; choose another title", f.Title)
		}
	}
	deepest := 0
	for k := range folders {
		deepest = max(deepest, depthOf(k))
	}
	switch own := depthOf(self); {
	case own > len(folders):
		es.Add("spec.parent", "folder_ring", "%q is the folder itself or within it; choose another one", s.Parent)
	case deepest > MaxFolderDepth:
		es.Add("spec.parent", "folder_too_deep", "folders would be %d levels deep; at most %d are allowed", deepest, MaxFolderDepth)
	}
	return es.Err()
}
