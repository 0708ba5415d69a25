package resource

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/internal/audit"
	"github.com/pharos-stack/pharos/internal/fielderr"
	"github.com/pharos-stack/pharos/internal/meta/metatest"
)

func folderObject(name, title, parent string) Object {
	return object(KindFolder, name, fmt.Sprintf(`{"title":%q,"parent":%q}`, title, parent))
}

// in returns o to be stored in a folder.
func in(folder string, o Object) Object {
	o.Metadata.Folder = folder
	return o
}

func codeOf(err error) string {
	if es, ok := errors.AsType[fielderr.Errors](err); ok {
		return es[0].Field + " " + es[0].Code
	}
	return fmt.Sprint(err)
}

func TestFolders(t *testing.T) {
	metatest.Each(t, func(t *testing.T, open func(*testing.T) *bun.DB) {
		for name, fn := range map[string]func(*testing.T, *Store){
			"tree": folderTree, "moving": moving, "merging": merging, "applying": applyFolders,
		} {
			t.Run(name, func(t *testing.T) { fn(t, newStore(t, open(t))) })
		}
	})
}

func folderTree(t *testing.T, s *Store) {
	ctx := t.Context()
	create := func(name, title, parent string) error {
		_, err := s.Create(ctx, ann, folderObject(name, title, parent))
		return err
	}
	for i, parent := range []string{"", "f1", "f2", "f3", "f4"} {
		if err := create(fmt.Sprintf("f%d", i+1), fmt.Sprintf("Level %d", i+1), parent); err != nil {
			t.Fatal(err)
		}
	}
	for want, err := range map[string]error{
		"spec.parent folder_too_deep": create("f6", "Level 6", "f5"),
		"spec.title duplicate_name":   create("other", "LEVEL 2", "f1"),
		"spec.parent not_found":       create("lost", "Lost", "nowhere"),
		"spec.title bad_title":        create("empty", " ", ""),
	} {
		if codeOf(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := create("again", "Level 2", "f2"); err != nil {
		t.Errorf("the title of a folder elsewhere: %v", err)
	}
	put := func(name, title, parent string) error {
		o := folderObject(name, title, parent)
		o.Metadata.Version = must[Object](t)(s.Get(ctx, KindFolder, "default", name)).Metadata.Version
		_, err := s.Update(ctx, ann, o)
		return err
	}
	if err := put("f1", "Level 1", "f3"); codeOf(err) != "spec.parent folder_ring" {
		t.Errorf("into its own descendant: %v", err)
	}
	if err := create("top", "Top", ""); err != nil {
		t.Fatal(err)
	}
	// What stands below a folder moves with it and counts.
	if err := put("f1", "Level 1", "top"); codeOf(err) != "spec.parent folder_too_deep" {
		t.Errorf("a tree of five below another folder: %v", err)
	}
	if inUse, ok := errors.AsType[*InUseError](s.Delete(ctx, ann, KindFolder, "default", "f4", 0)); !ok || inUse.Kind != KindFolder || inUse.Referrers[0].Name != "f5" {
		t.Errorf("deleting a folder with a folder: %v", inUse)
	}
	if err := s.Delete(ctx, ann, KindFolder, "default", "f5", 0); err != nil {
		t.Error(err)
	}
}

func moving(t *testing.T, s *Store) {
	ctx := t.Context()
	must[Object](t)(s.Create(ctx, ann, folderObject("pay", "Payment", "")))
	if _, err := s.Create(ctx, ann, in("nowhere", object(KindLogMonitor, "trades", monitorSpec))); codeOf(err) != "metadata.folder not_found" {
		t.Errorf("into a folder that is not there: %v", err)
	}
	if _, err := s.Create(ctx, ann, in("pay", object(KindChannel, "ops", channelSpec))); codeOf(err) != "metadata.folder not_allowed" {
		t.Errorf("a channel in a folder: %v", err)
	}
	made := must[Object](t)(s.Create(ctx, ann, in("PAY", object(KindLogMonitor, "trades", monitorSpec))))
	must[Object](t)(s.Create(ctx, ann, object(KindLogMonitor, "deals", monitorSpec)))
	if made.Metadata.Folder != "pay" {
		t.Errorf("%+v", made.Metadata)
	}
	where := func(name string) Metadata {
		return must[Object](t)(s.Get(ctx, KindLogMonitor, "default", name)).Metadata
	}
	// An update that says nothing of folders keeps the place.
	change := object(KindLogMonitor, "trades", monitorSpec)
	change.Metadata.Version = 1
	if o := must[Object](t)(s.Update(ctx, ann, change)); o.Metadata.Folder != "pay" || where("trades").Folder != "pay" {
		t.Errorf("%+v", o.Metadata)
	}
	before := where("deals")
	if err := s.Move(ctx, ann, KindLogMonitor, "default", []string{"deals", "trades"}, "pay"); err != nil {
		t.Fatal(err)
	}
	if after := where("deals"); after.Folder != "pay" || after.Version != before.Version || !after.UpdatedAt.Equal(before.UpdatedAt) {
		t.Errorf("moved from %+v to %+v", before, after)
	}
	if err := s.Move(ctx, ann, KindLogMonitor, "default", []string{"deals", "gone"}, TopFolder); !errors.Is(err, ErrNotFound) || where("deals").Folder != "pay" {
		t.Errorf("one that is not there: %v", err)
	}
	inUse, ok := errors.AsType[*InUseError](s.Delete(ctx, ann, KindFolder, "default", "pay", 0))
	if !ok || len(inUse.Referrers) != 2 || inUse.Referrers[0].Kind != KindLogMonitor {
		t.Errorf("deleting a folder with monitors: %+v", inUse)
	}
	if err := s.Move(ctx, ann, KindLogMonitor, "default", []string{"deals"}, TopFolder); err != nil || where("deals").Folder != "" {
		t.Error(err, where("deals"))
	}
	if err := s.Delete(ctx, ann, KindLogMonitor, "default", "trades", 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, ann, KindFolder, "default", "pay", 0); err != nil {
		t.Errorf("the folder is empty: %v", err)
	}
	entries, _, err := audit.List(ctx, s.db, audit.Filter{Kind: KindLogMonitor}, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	moves := 0
	for _, e := range entries {
		if e.Action == "move" {
			moves++
		}
	}
	if moves != 2 {
		t.Errorf("%d moves in the audit log", moves)
	}
}

func merging(t *testing.T, s *Store) {
	ctx := t.Context()
	for _, f := range [][3]string{{"old", "Old", ""}, {"sub", "Sub", "old"}, {"new", "New", ""}, {"twin", "Twin", "new"}} {
		must[Object](t)(s.Create(ctx, ann, folderObject(f[0], f[1], f[2])))
	}
	must[Object](t)(s.Create(ctx, ann, in("old", object(KindLogMonitor, "trades", monitorSpec))))
	for into, want := range map[string]string{"old": "into folder_ring", "sub": "into folder_ring", "nowhere": "into not_found"} {
		if _, err := s.MergeFolder(ctx, ann, "default", "old", into, true); codeOf(err) != want {
			t.Errorf("into %s: %v, want %s", into, err, want)
		}
	}
	// A folder of the same title is in the way: nothing is moved.
	must[Object](t)(s.Create(ctx, ann, folderObject("twin2", "twin", "old")))
	if _, err := s.MergeFolder(ctx, ann, "default", "old", "new", true); codeOf(err) != "spec.title duplicate_name" {
		t.Errorf("two of one title: %v", err)
	}
	if o := must[Object](t)(s.Get(ctx, KindLogMonitor, "default", "trades")); o.Metadata.Folder != "old" {
		t.Errorf("a refused merge has moved %+v", o.Metadata)
	}
	if err := s.Delete(ctx, ann, KindFolder, "default", "twin2", 0); err != nil {
		t.Fatal(err)
	}
	moved, err := s.MergeFolder(ctx, ann, "default", "old", "new", true)
	if err != nil || moved != 2 {
		t.Fatalf("moved %d, %v", moved, err)
	}
	if o := must[Object](t)(s.Get(ctx, KindLogMonitor, "default", "trades")); o.Metadata.Folder != "new" || o.Metadata.Version != 1 {
		t.Errorf("%+v", o.Metadata)
	}
	sub := must[FolderSpec](t)(SpecOf[FolderSpec](must[Object](t)(s.Get(ctx, KindFolder, "default", "sub"))))
	if sub.Parent != "new" {
		t.Errorf("%+v", sub)
	}
	if _, err := s.Get(ctx, KindFolder, "default", "old"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the merged folder is still there: %v", err)
	}
	if moved, err := s.MergeFolder(ctx, ann, "default", "new", TopFolder, false); err != nil || moved != 3 {
		t.Errorf("to the top: %d, %v", moved, err)
	}
}

func applyFolders(t *testing.T, s *Store) {
	ctx := t.Context()
	// In any order, children before their parents.
	items := []Object{in("b", object(KindLogMonitor, "trades", monitorSpec)), folderObject("c", "C", "b"), folderObject("b", "B", "a"), folderObject("a", "A", "")}
	outcomes := func(items ...Object) string {
		t.Helper()
		text := ""
		for _, r := range must[[]Applied](t)(s.Apply(ctx, ann, "default", items, false)) {
			text += fmt.Sprintf("%s %s %d; ", r.Name, r.Outcome, r.Version)
		}
		return text
	}
	if got := outcomes(items...); got != "trades created 1; c created 1; b created 1; a created 1; " {
		t.Error(got)
	}
	if got := outcomes(items...); got != "trades unchanged 1; c unchanged 1; b unchanged 1; a unchanged 1; " {
		t.Error(got)
	}
	// Another place is an update that leaves the version alone.
	if got := outcomes(in("/", object(KindLogMonitor, "trades", monitorSpec))); got != "trades updated 1; " {
		t.Error(got)
	}
	if _, err := s.Apply(ctx, ann, "default", []Object{folderObject("x", "X", "y"), folderObject("y", "Y", "x")}, false); err == nil {
		t.Error("a ring was applied")
	}
	objects, err := Kinds(Builtin(nil)).Parse([]byte("apiVersion: pharos/v1\nkind: LogMonitor\nmetadata: {name: a, folder: c}\nspec: {title: A}\n"))
	if err != nil || objects[0].Metadata.Folder != "c" {
		t.Error(objects, err)
	}
	var o Object
	if err := json.Unmarshal(must[[]byte](t)(json.Marshal(objects[0])), &o); err != nil || o.Metadata.Folder != "c" {
		t.Error(o, err)
	}
}
