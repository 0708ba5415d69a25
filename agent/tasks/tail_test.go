package tasks

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// follow starts a tail and returns its events.
func follow(t *testing.T, r *Runner, task *pharosv1.TailTask) <-chan *pharosv1.TaskEvent {
	t.Helper()
	events := make(chan *pharosv1.TaskEvent, 1000)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx, &pharosv1.TaskRequest{Task: &pharosv1.AgentTask{Kind: &pharosv1.AgentTask_Tail{Tail: task}}},
			func(e *pharosv1.TaskEvent) error { events <- e; return nil })
	}()
	t.Cleanup(func() { cancel(); <-done })
	return events
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// collect reads events until they have n lines, shown or skipped.
func collect(t *testing.T, events <-chan *pharosv1.TaskEvent, n int) (lines []string, skipped uint64) {
	t.Helper()
	late := time.After(30 * time.Second)
	for len(lines)+int(skipped) < n {
		select {
		case e := <-events:
			if e.GetDone() {
				t.Fatalf("tail ended: %v", e)
			}
			lines, skipped = append(lines, e.GetTail().GetLines()...), skipped+e.GetTail().GetSkipped()
		case <-late:
			t.Fatalf("only %d lines came: %q", len(lines), lines)
		}
	}
	return lines, skipped
}

func TestTailAcrossRotation(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	path := root + "/x.log"
	write(t, path, "one\ntwo\nthree\n")
	events := follow(t, runner(root), &pharosv1.TailTask{Path: path, Lines: 2})
	var got []string
	more := func(n int) {
		lines, _ := collect(t, events, n)
		got = append(got, lines...)
	}
	more(2)
	appendTo(t, path, "four\nfi")
	appendTo(t, path, "ve\n")
	more(2)
	// Rename: what is written to the old file meanwhile is still shown.
	old, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	appendTo(t, path, "seven\n")
	if _, err := old.WriteString("six\n"); err != nil {
		t.Fatal(err)
	}
	more(2)
	appendTo(t, path, "eight\n")
	more(1)
	// Truncation in place.
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	time.Sleep(600 * time.Millisecond) // the library polls, and sees no truncation that was filled up again
	appendTo(t, path, "nine\n")
	more(1)
	// Deleted and made anew.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	appendTo(t, path, "ten\n")
	more(1)
	if text := strings.Join(got, " "); text != "two three four five six seven eight nine ten" {
		t.Fatalf("shown: %s", text)
	}
}

func TestTailFiltersDecodesAndLimits(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	path := root + "/x.log"
	write(t, path, "")
	events := follow(t, runner(root), &pharosv1.TailTask{Path: path, Contains: "订单"})
	first := <-events // following has begun
	if len(first.GetTail().GetLines()) != 0 {
		t.Fatal(first)
	}
	gbk, err := simplifiedchinese.GBK.NewEncoder().String("gbk 订单\n")
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, path, "nothing\nutf 订单\n"+gbk)
	if lines, _ := collect(t, events, 2); lines[0] != "utf 订单" || lines[1] != "gbk 订单" {
		t.Fatalf("shown: %q", lines)
	}
	var b strings.Builder
	const n = 20_000
	for i := range n {
		fmt.Fprintf(&b, "订单 %d\n", i)
	}
	appendTo(t, path, b.String())
	lines, skipped := collect(t, events, n)
	if skipped == 0 || len(lines) < tailRate-2 || len(lines)+int(skipped) != n {
		t.Fatalf("%d shown, %d skipped", len(lines), skipped)
	}
}

func TestTailEndsAtAnEndlessLine(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	path := root + "/x.log"
	write(t, path, "a\n")
	events := follow(t, runner(root), &pharosv1.TailTask{Path: path})
	<-events
	appendTo(t, path, strings.Repeat("x", maxTailLine+2))
	for e := range events {
		if e.GetDone() {
			if e.GetErrorCode() != CodeFailed || !strings.Contains(e.GetError(), "longer than") {
				t.Fatal(e)
			}
			return
		}
	}
}
