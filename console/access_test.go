package console_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/console"
)

var parameter = regexp.MustCompile(`\{(\w+)\}`)

// TestEveryRouteChecksTheCaller walks the OpenAPI document: without proof of
// who one is every route but the public ones answers 401, in a foreign
// workspace 404, for a viewer 403 where more is needed.
func TestEveryRouteChecksTheCaller(t *testing.T) {
	i := start(t)
	admin := i.admin()
	admin.want(201, "POST", "/api/v1/workspaces", map[string]string{"name": "other", "title": "Other"})
	stranger := i.user(admin, "stranger", map[string]string{"other": "admin"})
	viewer := i.user(admin, "viewer", map[string]string{"default": "viewer"})

	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string           `json:"operationId"`
			Security    *json.RawMessage `json:"security"`
		}
	}
	text, err := console.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	public, routes := 0, 0
	for path, operations := range doc.Paths {
		for method, op := range operations {
			routes++
			method = strings.ToUpper(method)
			address := parameter.ReplaceAllStringFunc(path, func(p string) string {
				if p == "{workspace}" {
					return "default"
				}
				return "x"
			})
			if op.Security != nil { // an empty list marks a public route
				public++
				continue
			}
			if got := i.anonymous().do(method, address, nil).status; got != http.StatusUnauthorized {
				t.Errorf("%s %s without a session: %d, want 401", method, address, got)
			}
			if got := (&client{installation: i, token: "pat_wrong"}).do(method, address, nil).status; got != http.StatusUnauthorized {
				t.Errorf("%s %s with a wrong token: %d, want 401", method, address, got)
			}
			body := any(nil)
			if method != "GET" && method != "DELETE" {
				body = "{}"
			}
			if strings.Contains(path, "{workspace}") {
				if got := stranger.do(method, address, body).status; got != http.StatusNotFound && !(method == "DELETE" && path == "/api/v1/workspaces/{workspace}" && got == http.StatusForbidden) {
					t.Errorf("%s %s from another workspace: %d, want 404", method, address, got)
				}
				// A viewer's favourites are his own; an export and a question change nothing.
				reads := method == "GET" && !strings.Contains(path, "log_files") || strings.Contains(path, "/favourites") || strings.HasSuffix(path, "/templates:export") || strings.HasSuffix(path, "/dashboards:query")
				if got := viewer.do(method, address, body).status; !reads && got != http.StatusForbidden {
					t.Errorf("%s %s by a viewer: %d, want 403", method, address, got)
				} else if reads && got == http.StatusForbidden {
					t.Errorf("%s %s by a viewer: 403, viewers may read", method, address)
				}
			}
			for _, prefix := range []string{"/api/v1/users", "/api/v1/join_tokens"} {
				if strings.HasPrefix(path, prefix) {
					if got := viewer.do(method, address, body).status; got != http.StatusForbidden {
						t.Errorf("%s %s by a viewer: %d, want 403", method, address, got)
					}
				}
			}
		}
	}
	if public != 2 || routes < 50 {
		t.Errorf("%d of %d routes are public, want 2: sign-in and schemas", public, routes)
	}
}

func TestFirstStartMakesAnAdminWithAOneTimePassword(t *testing.T) {
	i := start(t, func(o *console.Options) { o.AdminPassword = "" })
	if len(i.console.OneTimePassword) < 16 {
		t.Fatalf("one-time password %q", i.console.OneTimePassword)
	}
	c := i.signIn("admin", i.console.OneTimePassword)
	c.fails(403, "password_change_required", "GET", "/api/v1/workspaces", nil)
	c.want(200, "GET", "/api/v1/me", nil)
	f := c.fails(422, "invalid", "PUT", "/api/v1/me/password", map[string]string{"old_password": "wrong", "new_password": "short"})
	if len(f.Details) != 2 {
		t.Errorf("want both bad fields, got %+v", f)
	}
	other := i.signIn("admin", i.console.OneTimePassword)
	c.want(204, "PUT", "/api/v1/me/password", map[string]string{"old_password": i.console.OneTimePassword, "new_password": "a new long one"})
	c.want(200, "GET", "/api/v1/workspaces", nil)
	other.fails(401, "session_expired", "GET", "/api/v1/me", nil)
	i.anonymous().fails(401, "bad_credentials", "POST", "/api/v1/session", map[string]string{"username": "admin", "password": i.console.OneTimePassword})
}

func TestSessionsSlideExpireAndEnd(t *testing.T) {
	i := start(t, func(o *console.Options) { o.SessionIdle, o.SessionMax = time.Hour, 3*time.Hour })
	c := i.admin()
	for range 4 { // used every 40 minutes it outlives the idle time …
		c.want(200, "GET", "/api/v1/me", nil)
		i.pass(40 * time.Minute)
	}
	c.want(200, "GET", "/api/v1/me", nil)
	i.pass(25 * time.Minute) // … but not its longest life
	c.fails(401, "session_expired", "GET", "/api/v1/me", nil)
	c = i.admin()
	i.pass(61 * time.Minute)
	c.fails(401, "session_expired", "GET", "/api/v1/me", nil)
	c = i.admin()
	a := c.want(204, "DELETE", "/api/v1/session", nil)
	if set := a.header.Get("Set-Cookie"); !strings.Contains(set, "Max-Age=0") {
		t.Errorf("Set-Cookie %q", set)
	}
	c.fails(401, "session_expired", "GET", "/api/v1/me", nil)
}

func TestBrowserChangesNeedTheirHeader(t *testing.T) {
	i := start(t)
	c := i.admin()
	c.fails(403, "csrf_required", "POST", "/api/v1/workspaces", map[string]string{"name": "x", "title": "X"}, "X-Pharos-Csrf", "")
	c.want(201, "POST", "/api/v1/workspaces", map[string]string{"name": "x", "title": "X"})
	a := i.anonymous().want(200, "POST", "/api/v1/session", map[string]string{"username": "Admin", "password": adminPassword})
	set := a.header.Get("Set-Cookie")
	for _, part := range []string{"HttpOnly", "SameSite=Strict", "Path=/"} {
		if !strings.Contains(set, part) {
			t.Errorf("%s is missing in %q", part, set)
		}
	}
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "frame-ancestors 'none'", "Cache-Control": "no-store"} {
		if got := a.header.Get(name); !strings.Contains(got, want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestFailedSignInsAreLimited(t *testing.T) {
	i := start(t)
	wrong := map[string]string{"username": "admin", "password": "wrong"}
	for range 10 {
		i.anonymous().fails(401, "bad_credentials", "POST", "/api/v1/session", wrong)
	}
	right := map[string]string{"username": "admin", "password": adminPassword}
	a := i.anonymous().want(429, "POST", "/api/v1/session", right)
	if a.header.Get("Retry-After") == "" {
		t.Error("Retry-After is missing")
	}
	i.anonymous().fails(401, "bad_credentials", "POST", "/api/v1/session", map[string]string{"username": "nobody", "password": "wrong"})
	i.pass(16 * time.Minute)
	i.anonymous().want(200, "POST", "/api/v1/session", right)
}

func TestTokensHaveOneWorkspaceAndNoMoreRightsThanTheirUser(t *testing.T) {
	i := start(t)
	admin := i.admin()
	admin.want(201, "POST", "/api/v1/workspaces", map[string]string{"name": "other", "title": "Other"})
	ann := i.user(admin, "ann", map[string]string{"default": "editor"})
	f := ann.fails(422, "invalid", "POST", "/api/v1/tokens", map[string]any{"name": "", "workspace": "default", "role": "admin", "expires_at": "2001-01-01T00:00:00Z"})
	if len(f.Details) != 3 {
		t.Errorf("want name, role and expires_at, got %+v", f.Details)
	}
	token := ann.makeToken("default", "editor")
	token.want(200, "GET", "/api/v1/workspaces/default/monitors", nil)
	token.fails(404, "not_found", "GET", "/api/v1/workspaces/other/monitors", nil)
	token.fails(403, "forbidden", "POST", "/api/v1/tokens", map[string]string{"name": "more", "workspace": "default", "role": "viewer"})
	admin.makeToken("other", "admin").fails(403, "forbidden", "GET", "/api/v1/users", nil)

	if a := ann.want(201, "POST", "/api/v1/tokens", map[string]string{"name": "own role", "workspace": "default"}); !strings.Contains(string(a.body), `"role":"editor"`) {
		t.Errorf("%s", a.body)
	}

	var users struct {
		Items []struct {
			ID, Username string
			Version      int
		}
	}
	admin.want(200, "GET", "/api/v1/users?q=ann", nil).json(t, &users)
	u := users.Items[0]
	admin.want(200, "PUT", "/api/v1/users/"+u.ID, map[string]any{"version": u.Version, "roles": map[string]string{"default": "viewer"}})
	token.fails(403, "forbidden", "POST", "/api/v1/workspaces/default/channels", "{}")
	admin.fails(409, "version_conflict", "PUT", "/api/v1/users/"+u.ID, map[string]any{"version": u.Version})
	admin.want(204, "DELETE", "/api/v1/users/"+u.ID, nil)
	token.fails(401, "bad_token", "GET", "/api/v1/workspaces/default/monitors", nil)
	ann.fails(401, "session_expired", "GET", "/api/v1/me", nil)

	var expiring struct{ Secret string }
	admin.want(201, "POST", "/api/v1/tokens", map[string]any{"name": "short", "workspace": "default", "role": "viewer", "expires_at": i.clock().Add(time.Hour)}).json(t, &expiring)
	short := &client{installation: i, token: expiring.Secret}
	short.want(200, "GET", "/api/v1/me", nil)
	i.pass(2 * time.Hour)
	short.fails(401, "bad_token", "GET", "/api/v1/me", nil)
}

func TestTheLastAdministratorStays(t *testing.T) {
	i := start(t)
	admin := i.admin()
	var me struct {
		User struct {
			ID      string
			Version int
		}
	}
	admin.want(200, "GET", "/api/v1/me", nil).json(t, &me)
	admin.fails(409, "last_admin", "DELETE", "/api/v1/users/"+me.User.ID, nil)
	admin.fails(409, "last_admin", "PUT", "/api/v1/users/"+me.User.ID, map[string]any{"version": me.User.Version})
	admin.want(200, "GET", "/api/v1/me", nil)
}

func TestSecretsAreStoredOnlyAsHashes(t *testing.T) {
	i := start(t)
	admin := i.admin()
	token := admin.makeToken("default", "viewer")
	var all strings.Builder
	for _, table := range []string{"users", "sessions", "api_tokens", "audit_log", "idempotent_answers"} {
		var rows []map[string]any
		if err := i.db.NewSelect().Table(table).Scan(t.Context(), &rows); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&all, rows)
	}
	for _, s := range []string{adminPassword, admin.cookie, token.token} {
		if strings.Contains(all.String(), s) {
			t.Errorf("%q stands in the database", s)
		}
	}
}
