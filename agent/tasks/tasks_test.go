package tasks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, at string) {
	t.Helper()
	if err := os.Symlink(target, at); err != nil {
		t.Fatal(err)
	}
}

// run runs a task to its end and returns its events.
func run(t *testing.T, r *Runner, task *pharosv1.AgentTask) []*pharosv1.TaskEvent {
	t.Helper()
	var events []*pharosv1.TaskEvent
	r.Run(t.Context(), &pharosv1.TaskRequest{RequestId: "r1", Task: task}, func(e *pharosv1.TaskEvent) error {
		events = append(events, e)
		return nil
	})
	if len(events) == 0 || !events[len(events)-1].GetDone() || events[len(events)-1].GetRequestId() != "r1" {
		t.Fatalf("events %v", events)
	}
	return events
}

func runner(roots ...string) *Runner {
	return New(Options{Roots: roots, Location: time.UTC, Logger: slog.New(slog.DiscardHandler), Labels: map[string]string{"host": "h1"}})
}

func browse(t *testing.T, r *Runner, path, after string) *pharosv1.TaskEvent {
	t.Helper()
	return run(t, r, &pharosv1.AgentTask{Kind: &pharosv1.AgentTask_Browse{Browse: &pharosv1.BrowseTask{Path: path, After: after}}})[0]
}

func preview(t *testing.T, r *Runner, p *pharosv1.PreviewTask) *pharosv1.TaskEvent {
	t.Helper()
	return run(t, r, &pharosv1.AgentTask{Kind: &pharosv1.AgentTask_Preview{Preview: p}})[0]
}

// LOG-3: browsing never leaves the roots.
func TestEscapesAreRefused(t *testing.T) {
	dir := t.TempDir()
	root, other := filepath.Join(dir, "root"), filepath.Join(dir, "rootless")
	write(t, filepath.Join(root, "in", "x.log"), "a\n")
	write(t, filepath.Join(other, "secret.log"), "s\n")
	link(t, other, filepath.Join(root, "out"))
	link(t, "../rootless/secret.log", filepath.Join(root, "file-out"))
	link(t, filepath.Join(root, "out2"), filepath.Join(root, "out1"))
	link(t, other, filepath.Join(root, "out2"))
	link(t, filepath.Join(root, "in"), filepath.Join(root, "in-link"))
	if err := syscall.Mkfifo(filepath.Join(root, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := runner(root)
	for _, c := range []struct{ path, code string }{
		{other, CodeOutsideRoots},
		{"/", CodeOutsideRoots},
		{"/etc", CodeOutsideRoots},
		{root + "less", CodeOutsideRoots},
		{dir + "/does-not-exist", CodeOutsideRoots}, // and not whether it exists
		{root + "/../rootless", CodeBadPath},
		{root + "/in/../..", CodeBadPath},
		{"in", CodeBadPath},
		{root + "/in\x00", CodeBadPath},
		{root + "/out", CodeOutsideRoots},
		{root + "/out1", CodeOutsideRoots},
		{root + "/none", CodeNotFound},
		{root + "/in/x.log", CodeBadPath}, // no directory
		{root + "/pipe", CodeBadPath},
	} {
		if e := browse(t, r, c.path, ""); e.GetErrorCode() != c.code || e.GetBrowse() != nil {
			t.Errorf("browse %q: %s %q, want %s", c.path, e.GetErrorCode(), e.GetError(), c.code)
		}
	}
	for _, c := range []struct{ path, code string }{
		{root + "/file-out", CodeOutsideRoots},
		{root + "/out/secret.log", CodeOutsideRoots},
		{root + "/out/*.log", CodeOutsideRoots},
		{other + "/*.log", CodeOutsideRoots},
		{root + "/pipe", CodeBadPath},
		{root + "/in", CodeBadPath},
		{root + "/[", CodeBadPath},
		{root + "/*.none", CodeNotFound},
		{"/dev/zero", CodeOutsideRoots},
	} {
		if e := preview(t, r, &pharosv1.PreviewTask{Path: c.path}); e.GetErrorCode() != c.code {
			t.Errorf("preview %q: %s %q, want %s", c.path, e.GetErrorCode(), e.GetError(), c.code)
		}
		tail := run(t, r, &pharosv1.AgentTask{Kind: &pharosv1.AgentTask_Tail{Tail: &pharosv1.TailTask{Path: c.path}}})
		if tail[0].GetErrorCode() != c.code {
			t.Errorf("tail %q: %s %q, want %s", c.path, tail[0].GetErrorCode(), tail[0].GetError(), c.code)
		}
	}
	// Within the roots links are followed.
	if e := browse(t, r, root+"/in-link", ""); len(e.GetBrowse().GetEntries()) != 1 {
		t.Errorf("a link within the root: %v", e)
	}
	if e := preview(t, runner("/dev"), &pharosv1.PreviewTask{Path: "/dev/zero"}); e.GetErrorCode() != CodeBadPath {
		t.Errorf("a device was read: %v", e)
	}
}

func TestLinkPutInTheWayAfterTheCheck(t *testing.T) {
	dir := t.TempDir()
	root, other := filepath.Join(dir, "root"), filepath.Join(dir, "other")
	write(t, filepath.Join(root, "in", "x.log"), "a\n")
	write(t, filepath.Join(other, "x.log"), "secret\n")
	p, err := Roots{root}.resolve(filepath.Join(root, "in", "x.log"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(root, "in")); err != nil {
		t.Fatal(err)
	}
	link(t, other, filepath.Join(root, "in"))
	if f, _, err := p.open(); err == nil {
		f.Close()
		t.Fatal("a file outside of the root was opened")
	}
}

func TestBrowseListsInPages(t *testing.T) {
	root := t.TempDir()
	for i := range 2345 {
		write(t, fmt.Sprintf("%s/f%04d", root, i), "")
	}
	var names []string
	after, pages := "", 0
	for more := true; more; pages++ {
		b := browse(t, runner(root), root, after).GetBrowse()
		if len(b.GetEntries()) > 1000 {
			t.Fatalf("a page of %d", len(b.GetEntries()))
		}
		for _, e := range b.GetEntries() {
			names = append(names, e.GetName())
		}
		more, after = b.GetMore(), names[len(names)-1]
	}
	if pages != 3 || len(names) != 2345 || names[0] != "f0000" || names[2344] != "f2344" {
		t.Fatalf("%d pages, %d names", pages, len(names))
	}
}

func TestBrowseDescribesEntries(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/a.log", "12345")
	write(t, root+"/sub/b.log", "")
	link(t, root+"/a.log", root+"/l1")
	link(t, root+"/sub", root+"/l2")
	link(t, "/etc", root+"/l3")
	if err := syscall.Mkfifo(root+"/pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, e := range browse(t, runner(root), root, "").GetBrowse().GetEntries() {
		got += fmt.Sprintf("%s dir=%v size=%d link=%v readable=%v;", e.GetName(), e.GetDir(), e.GetSize(), e.GetSymlink(), e.GetReadable())
		if age := time.Since(time.UnixMilli(e.GetMtimeMs())); age < -time.Minute || age > time.Hour {
			t.Errorf("%s was written %s ago", e.GetName(), age)
		}
	}
	want := "a.log dir=false size=5 link=false readable=true;l1 dir=false size=5 link=true readable=true;" +
		"l2 dir=true size=0 link=true readable=true;l3 dir=false size=0 link=true readable=false;sub dir=true size=0 link=false readable=true;"
	if got != want {
		t.Errorf("entries\n%s, want\n%s", got, want)
	}
	roots := browse(t, runner(root, "/no-such-dir"), "", "").GetBrowse().GetEntries()
	if len(roots) != 1 || roots[0].GetName() != root || !roots[0].GetDir() {
		t.Errorf("roots %v", roots)
	}
}

func TestPreview(t *testing.T) {
	root := t.TempDir()
	var b strings.Builder
	for i := range 50 {
		fmt.Fprintf(&b, "2026-11-23 10:00:%02d,create,%d,ok\r\n", i%60, i)
	}
	write(t, root+"/old.log", "old\n")
	write(t, root+"/new.log", b.String()+"2026-11-23 10:01:00,no end,1,ok")
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(root+"/old.log", past, past); err != nil {
		t.Fatal(err)
	}
	r := runner(root)
	p := preview(t, r, &pharosv1.PreviewTask{Path: root + "/*.log", Lines: 3}).GetPreview()
	if p.GetPath() != root+"/new.log" || len(p.GetLines()) != 3 || p.GetLines()[0] != "2026-11-23 10:00:48,create,48,ok" ||
		p.GetLines()[2] != "2026-11-23 10:01:00,no end,1,ok" || p.GetTimeFormat() != "normal" || p.GetDelimiter() != "," || p.GetEncoding() != "utf-8" {
		t.Fatalf("preview %v", p)
	}
	if p := preview(t, r, &pharosv1.PreviewTask{Path: root + "/new.log"}).GetPreview(); len(p.GetLines()) != 20 {
		t.Errorf("%d lines", len(p.GetLines()))
	}

	gbk, err := simplifiedchinese.GBK.NewEncoder().String("2026-11-23 10:00:00|创建订单|成功\n")
	if err != nil {
		t.Fatal(err)
	}
	write(t, root+"/gbk.log", strings.Repeat(gbk, 10))
	for _, enc := range []string{"", "auto", "gbk", "gb18030"} {
		p := preview(t, r, &pharosv1.PreviewTask{Path: root + "/gbk.log", Encoding: enc, Lines: 1}).GetPreview()
		if len(p.GetLines()) != 1 || p.GetLines()[0] != "2026-11-23 10:00:00|创建订单|成功" || p.GetDelimiter() != "|" {
			t.Errorf("encoding %q: %v", enc, p)
		}
	}
	if e := preview(t, r, &pharosv1.PreviewTask{Path: root + "/gbk.log", Encoding: "klingon"}); e.GetErrorCode() != CodeBadRequest {
		t.Errorf("an unknown encoding: %v", e)
	}

	for _, mark := range []string{"\xff\xfe", "\xfe\xff"} {
		write(t, root+"/utf16.log", mark+"2\x000\x00\n\x00")
		if e := preview(t, r, &pharosv1.PreviewTask{Path: root + "/utf16.log"}); e.GetErrorCode() != CodeNotReadable || !strings.Contains(e.GetError(), "UTF-8") {
			t.Errorf("a file of UTF-16: %v", e)
		}
	}

	write(t, root+"/empty", "")
	if p := preview(t, r, &pharosv1.PreviewTask{Path: root + "/empty"}); p.GetErrorCode() != "" || len(p.GetPreview().GetLines()) != 0 {
		t.Errorf("an empty file: %v", p)
	}
	// An endless line and binary content are bounded and valid.
	write(t, root+"/endless", strings.Repeat("\xff\x00x", 2<<20))
	if p := preview(t, r, &pharosv1.PreviewTask{Path: root + "/endless"}).GetPreview(); len(p.GetLines()) != 1 || len(p.GetLines()[0]) > 3*maxShown+10 {
		t.Errorf("an endless line: %d lines", len(p.GetLines()))
	}
}

func TestTooManyTasksAndTimeout(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/x.log", "a\n")
	r := New(Options{Roots: []string{root}, MaxTasks: 1, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	began, ended := make(chan struct{}, 1), make(chan struct{})
	tail := &pharosv1.AgentTask{Kind: &pharosv1.AgentTask_Tail{Tail: &pharosv1.TailTask{Path: root + "/x.log"}}}
	go func() {
		defer close(ended)
		r.Run(ctx, &pharosv1.TaskRequest{Task: tail}, func(*pharosv1.TaskEvent) error {
			select {
			case began <- struct{}{}:
			default:
			}
			return nil
		})
	}()
	<-began
	if e := browse(t, r, root, ""); e.GetErrorCode() != CodeTooMany {
		t.Errorf("a second task: %v", e)
	}
	cancel()
	<-ended
	var last *pharosv1.TaskEvent
	r.Run(t.Context(), &pharosv1.TaskRequest{Task: tail, TimeoutMs: 50}, func(e *pharosv1.TaskEvent) error { last = e; return nil })
	if last.GetErrorCode() != CodeTimeout || !last.GetDone() {
		t.Errorf("a tail beyond its time: %v", last)
	}
	if e := run(t, r, &pharosv1.AgentTask{})[0]; e.GetErrorCode() != CodeBadRequest {
		t.Errorf("a task of no kind: %v", e)
	}
}

func TestEventsEndWhenNobodyListens(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/x.log", "a\n")
	n := 0
	runner(root).Run(t.Context(), &pharosv1.TaskRequest{Task: &pharosv1.AgentTask{Kind: &pharosv1.AgentTask_Tail{Tail: &pharosv1.TailTask{Path: root + "/x.log"}}}},
		func(*pharosv1.TaskEvent) error { n++; return errors.New("gone") })
	if n > 2 {
		t.Errorf("%d events were tried", n)
	}
}
