package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// idle watches an agent that samples its host and a thousand files nobody writes to.
func (c *commands) idle(ctx context.Context) error {
	s, err := c.startServer(ctx, "--no-agent")
	if err != nil {
		return err
	}
	defer s.stop()
	logs := filepath.Join(s.dir, "logs")
	if err := os.Mkdir(logs, 0o755); err != nil {
		return err
	}
	for i := range 1000 {
		if err := os.WriteFile(filepath.Join(logs, fmt.Sprintf("idle-%d.log", i)), []byte("2026-11-23 10:00:00,x\n"), 0o644); err != nil {
			return err
		}
	}
	var token struct{ Secret string }
	if err := s.call("POST", "/api/v1/join_tokens", map[string]any{"label": "bench"}, &token); err != nil {
		return err
	}
	fmt.Printf("%-58s %8s %8s %8s\n", fmt.Sprintf("idle agent, host metrics every 10 s, over %s", c.Idle), "% core", "MB now", "MB peak")
	run := func(name string) error {
		cmd := exec.CommandContext(ctx, filepath.Join(c.Bin, "pharos-agent"), "--data", filepath.Join(s.dir, "agent"), "--register", s.grpc,
			"--join-token", token.Secret, "--root", logs)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			return err
		}
		defer cmd.Wait()
		defer cmd.Process.Kill()
		select { // past its start
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(15 * time.Second):
		}
		before, err := cpuTime(cmd.Process.Pid)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(c.Idle):
		}
		after, err := cpuTime(cmd.Process.Pid)
		if err != nil {
			return err
		}
		now, peak, err := residentMB(cmd.Process.Pid)
		if err != nil {
			return err
		}
		fmt.Printf("%-58s %8.2f %8.1f %8.1f\n", name, 100*float64(after-before)/float64(c.Idle), now, peak)
		return nil
	}
	if err := run("without monitors"); err != nil {
		return err
	}
	err = s.call("POST", "/api/v1/workspaces/default/monitors", map[string]any{"name": "idle", "spec": map[string]any{
		"title": "Idle files", "type": "minute", "paths": []string{filepath.Join(logs, "*.log")}, "time": map[string]any{"format": "normal"}}}, nil)
	if err != nil {
		return err
	}
	return run("with a monitor on 1,000 idle files")
}
