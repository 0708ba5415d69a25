package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// latency measures how long after a line is written a query counts it, and how
// long after its end a minute settles.
func (c *commands) latency(ctx context.Context) error {
	s, err := c.startServer(ctx)
	if err != nil {
		return err
	}
	defer s.stop()
	log := filepath.Join(s.dir, "latency.log")
	f, err := os.Create(log)
	if err != nil {
		return err
	}
	defer f.Close()
	err = s.call("POST", "/api/v1/workspaces/default/monitors", map[string]any{"name": "latency", "spec": map[string]any{
		"title": "Latency", "type": "minute", "paths": []string{log}, "start_at": "beginning", "time": map[string]any{"format": "normal"}}}, nil)
	if err != nil {
		return err
	}
	written := 0
	write := func() error {
		written++
		_, err := fmt.Fprintf(f, "%s,line %d\n", time.Now().Format("2006-01-02 15:04:05.000"), written)
		return err
	}
	// counted polls until all written lines are counted.
	counted := func(limit time.Duration) (time.Duration, error) {
		begin := time.Now()
		for time.Since(begin) < limit {
			v, ok, err := s.value("sum(sum_over_time(latency:count[10m]))")
			if err != nil {
				return 0, err
			}
			if ok && int(v) >= written {
				return time.Since(begin), nil
			}
			time.Sleep(10 * time.Millisecond)
		}
		return 0, fmt.Errorf("%d lines are not counted after %s", written, limit)
	}
	if err := write(); err != nil {
		return err
	}
	if _, err := counted(time.Minute); err != nil {
		return err
	}
	var took []time.Duration
	for range 100 {
		time.Sleep(time.Duration(37*(len(took)%11)) * time.Millisecond)
		if err := write(); err != nil {
			return err
		}
		d, err := counted(time.Minute)
		if err != nil {
			return err
		}
		took = append(took, d)
	}
	slices.Sort(took)
	fmt.Printf("%-58s %8s %8s %8s\n", "latency, 100 lines", "median", "p99", "worst")
	fmt.Printf("%-58s %8s %8s %8s\n", "line written → counted by a query", round(took[50]), round(took[98]), round(took[99]))
	var overview struct {
		SettleDelayMs int64 `json:"settle_delay_ms"`
		FreshnessMs   int64 `json:"freshness_ms"`
	}
	if err := s.call("GET", "/api/v1/overview?workspace=default", nil, &overview); err != nil {
		return err
	}
	fmt.Printf("%-58s %8s\n", "minute settled after its end (p95)", round(time.Duration(overview.SettleDelayMs)*time.Millisecond))
	return nil
}

func round(d time.Duration) string { return d.Round(time.Millisecond).String() }
