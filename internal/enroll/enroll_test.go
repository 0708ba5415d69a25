package enroll

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/fielderr"
	"github.com/pharos-stack/pharos/internal/meta"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
	"github.com/uptrace/bun"
)

var now = time.UnixMilli(1_800_000_000_000)

func open(t *testing.T) *bun.DB {
	db, err := meta.Open(t.Context(), filepath.Join(t.TempDir(), "meta.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	return db
}

func token(t *testing.T, db *bun.DB, expires time.Time) string {
	text, _, err := CreateToken(t.Context(), db, NewToken{Label: "test", CreatedBy: "admin", Expires: expires}, now)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func hello(id, credential, token string) *pharosv1.AgentHello {
	return &pharosv1.AgentHello{AgentId: id, Credential: credential, JoinToken: token, Version: "1",
		Host: &pharosv1.HostInfo{Hostname: "web-1", Ip: "10.0.0.1", Labels: map[string]string{"az": "a"}}}
}

func mustDeny(t *testing.T, err error, want string) {
	t.Helper()
	var d *DeniedError
	if !errors.As(err, &d) || !strings.Contains(d.Reason, want) {
		t.Fatalf("got %v, want a denial with %q", err, want)
	}
}

func TestAdmitByTokenThenByCredential(t *testing.T) {
	db, ctx := open(t), t.Context()
	tok := token(t, db, now.Add(time.Hour))
	cred, err := Admit(ctx, db, hello("a1", "", tok), now)
	if err != nil || cred == "" {
		t.Fatal(cred, err)
	}
	// Lost the welcome: it may join again, until it has used the credential.
	cred2, err := Admit(ctx, db, hello("a1", "", tok), now)
	if err != nil || cred2 == "" || cred2 == cred {
		t.Fatal(cred2, err)
	}
	_, err = Admit(ctx, db, hello("a1", cred, ""), now)
	mustDeny(t, err, "another credential")
	if again, err := Admit(ctx, db, hello("a1", cred2, ""), now); err != nil || again != "" {
		t.Fatal(again, err)
	}
	_, err = Admit(ctx, db, hello("a1", "", tok), now)
	mustDeny(t, err, "already has a credential")

	agents, err := ListAgents(ctx, db)
	if err != nil || len(agents) != 1 || agents[0].Host.Labels["az"] != "a" || agents[0].Host.IP != "10.0.0.1" {
		t.Fatal(agents, err)
	}
	tokens, err := ListTokens(ctx, db)
	if err != nil || len(tokens) != 1 || tokens[0].Uses != 2 {
		t.Fatal(tokens, err)
	}
	if strings.Contains(tok, string(tokens[0].Hash)) || strings.Contains(string(agents[0].CredentialHash), cred2) {
		t.Fatal("a secret is stored in the clear")
	}
}

func TestAdmitRefuses(t *testing.T) {
	db, ctx := open(t), t.Context()
	short := token(t, db, now.Add(time.Minute))
	deleted, row, err := CreateToken(ctx, db, NewToken{Label: "x"}, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := DeleteToken(ctx, db, row.ID); err != nil {
		t.Fatal(err)
	}
	if err := DeleteToken(ctx, db, row.ID); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	for _, c := range []struct {
		hello *pharosv1.AgentHello
		want  string
	}{
		{hello("a", "", ""), "neither credential nor join token"},
		{hello("a", "pa1.xyz", ""), "not known here"},
		{hello("a", "", "nonsense"), "cannot read join token"},
		{hello("a", "", deleted), "not known"},
		{hello("a", "", short), "has expired"},
		{hello("../a", "", short), "agent id"},
		{hello("", "", short), "agent id"},
	} {
		_, err := Admit(ctx, db, c.hello, now.Add(time.Minute))
		mustDeny(t, err, c.want)
	}
	big := hello("a", "", short)
	big.Host.Labels["az"] = strings.Repeat("z", 1000)
	_, err = Admit(ctx, db, big, now)
	mustDeny(t, err, "has 1000 bytes")
	if agents, err := ListAgents(ctx, db); err != nil || len(agents) != 0 {
		t.Fatal(agents, err)
	}
}

func TestForgottenAgentMustJoinAgain(t *testing.T) {
	db, ctx := open(t), t.Context()
	tok := token(t, db, time.Time{})
	cred, err := Admit(ctx, db, hello("a1", "", tok), now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Admit(ctx, db, hello("a1", cred, ""), now); err != nil {
		t.Fatal(err)
	}
	if err := ForgetAgent(ctx, db, "a1"); err != nil {
		t.Fatal(err)
	}
	if err := ForgetAgent(ctx, db, "a1"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	if agents, err := ListAgents(ctx, db); err != nil || len(agents) != 0 {
		t.Fatal(agents, err)
	}
	_, err = Admit(ctx, db, hello("a1", cred, ""), now)
	mustDeny(t, err, "was removed")
	next, err := Admit(ctx, db, hello("a1", cred, tok), now)
	if err != nil || next == "" {
		t.Fatal(next, err)
	}
}

func TestCreateTokenChecksInput(t *testing.T) {
	db := open(t)
	_, _, err := CreateToken(t.Context(), db, NewToken{Label: strings.Repeat("x", 101), Expires: now}, now)
	var es fielderr.Errors
	if !errors.As(err, &es) || len(es) != 2 {
		t.Fatal(err)
	}
}

func TestTouch(t *testing.T) {
	db, ctx := open(t), t.Context()
	if _, err := Admit(ctx, db, hello("a1", "", token(t, db, time.Time{})), now); err != nil {
		t.Fatal(err)
	}
	if err := Touch(ctx, db, map[string]int64{"a1": 7, "gone": 8}); err != nil {
		t.Fatal(err)
	}
	agents, err := ListAgents(ctx, db)
	if err != nil || agents[0].LastSeenMs != 7 {
		t.Fatal(agents, err)
	}
}

// A compute that comes when agents may already have sent owns nothing that may have begun.
func TestComputeMembership(t *testing.T) {
	db, ctx := open(t), t.Context()
	add := func(id string, at time.Time) Server {
		t.Helper()
		s, err := AddServer(ctx, db, &pharosv1.ServerHello{ServerId: id, Role: pharosv1.ServerRole_SERVER_ROLE_COMPUTE, Address: "x"}, at)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if a, b := add("c1", now), add("c2", now); a.MemberFromMs != 0 || b.MemberFromMs != 0 {
		t.Fatal(a, b)
	}
	if _, err := Admit(ctx, db, hello("a1", "", token(t, db, time.Time{})), now); err != nil {
		t.Fatal(err)
	}
	late := add("c3", now)
	if late.MemberFromMs != now.Add(JoinDelay).UnixMilli() {
		t.Fatal(late)
	}
	if again := add("c3", now.Add(9*time.Hour)); again.MemberFromMs != late.MemberFromMs {
		t.Fatal("a restart moved the compute's place in time")
	}
	if err := ForgetServer(ctx, db, pharosv1.ServerRole_SERVER_ROLE_COMPUTE, "c2"); err != nil {
		t.Fatal(err)
	}
	servers, err := ListServers(ctx, db)
	if err != nil || len(servers) != 2 || servers[1].ID != "c3" {
		t.Fatal(servers, err)
	}
}
