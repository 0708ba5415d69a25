package console_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/console"
	"github.com/pharos-stack/pharos/internal/meta/metatest"
)

func TestRunRemovesWhatHasExpired(t *testing.T) {
	i := start(t)
	c := i.admin()
	c.want(201, "POST", ws+"/monitors", monitorBody, "Idempotency-Key", "k1")
	i.pass(25 * time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- i.console.Run(ctx) }()
	count := func(table string) int {
		n, err := i.db.NewSelect().Table(table).Count(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return int(n)
	}
	for count("sessions")+count("idempotent_answers") > 0 {
	} // the test's own deadline ends it if nothing is removed
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	// The key is free again: the name is taken by then.
	i.admin().fails(409, "name_taken", "POST", ws+"/monitors", monitorBody, "Idempotency-Key", "k1")
}

// TestConsoleOnEveryDatabase goes once through everything that speaks SQL.
func TestConsoleOnEveryDatabase(t *testing.T) {
	metatest.Each(t, func(t *testing.T, open func(*testing.T) *bun.DB) {
		i := start(t, func(o *console.Options) { o.DB = open(t) })
		admin := i.admin()
		admin.want(201, "POST", "/api/v1/workspaces", map[string]string{"name": "other", "title": "Other"})
		ann := i.user(admin, "ann", map[string]string{"default": "editor", "other": "viewer"})
		ann.want(201, "POST", ws+"/monitors", monitorBody, "Idempotency-Key", "k")
		ann.want(201, "POST", ws+"/monitors", monitorBody, "Idempotency-Key", "k")
		ann.want(201, "POST", ws+"/channels", channelBody)
		ann.want(201, "POST", ws+"/alarm_rules", ruleBody)
		token := ann.makeToken("default", "viewer")
		admin.want(200, "PATCH", "/api/v1/me", map[string]string{"language": "zh-CN", "timezone": "Asia/Shanghai"})
		admin.want(201, "POST", "/api/v1/join_tokens", `{"label":"x"}`)
		for _, path := range []string{ws + "/monitors", ws + "/alarm_rules?sort=-alerts", ws + "/channels", ws + "/alerts", ws + "/alarm_events?start=1&end=2", ws + "/deliveries",
			"/api/v1/tokens", "/api/v1/users?sort=-created_at", "/api/v1/workspaces", "/api/v1/audit_log?actor=ann&start=1", "/api/v1/overview", "/api/v1/join_tokens"} {
			admin.want(200, "GET", path, nil)
		}
		token.want(200, "GET", ws+"/resources:export", nil)
		admin.want(204, "DELETE", "/api/v1/workspaces/other", nil)
		if f := admin.fails(409, "in_use", "DELETE", "/api/v1/workspaces/default", nil); len(f.Message) == 0 {
			t.Error(fmt.Sprint(f))
		}
		if a := admin.want(200, "GET", "/api/v1/audit_log?actor=ann", nil); !strings.Contains(string(a.body), `"kind":"Token"`) {
			t.Errorf("%s", a.body)
		}
	})
}
