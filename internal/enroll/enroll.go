// Package enroll keeps, in the metadata database, who belongs to the
// installation: the agents with their credentials, the join tokens that admit
// new ones, and the servers that were ever members. Register admits, the
// console manages.
//
// It promises: secrets are stored only as hashes and returned only when they
// are made; a join token never replaces a credential that an agent has already
// used, so who has a token can add agents but take over none.
package enroll

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/pharos-stack/pharos/internal/meta"
	"github.com/pharos-stack/pharos/internal/rpc"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
	"github.com/uptrace/bun"
)

// Topics announced through meta.Changed.
const (
	TopicAgents     = "agents"
	TopicJoinTokens = "join_tokens"
	TopicServers    = "servers"
)

// Agent is a node agent.
type Agent struct {
	bun.BaseModel  `bun:"table:agents"`
	ID             string `bun:",pk"`
	CredentialHash []byte `bun:",notnull"`
	// CredentialUsed says that the agent has the credential: no join token replaces it any more.
	CredentialUsed bool   `bun:",notnull"`
	Version        string `bun:",notnull"`
	Host           Host   `bun:"type:json,notnull"`
	// Times in Unix milliseconds; LastSeenMs is up to a minute old while the agent is connected.
	FirstSeenMs int64 `bun:",notnull"`
	LastSeenMs  int64 `bun:",notnull"`
	StartedMs   int64 `bun:",notnull"`
	// Forgotten agents are refused until they join again.
	Forgotten bool `bun:",notnull"`
}

// Host is the machine an agent runs on, as the agent describes it.
type Host struct {
	Hostname    string            `json:"hostname"`
	IP          string            `json:"ip"`
	OS          string            `json:"os"`
	Kernel      string            `json:"kernel"`
	Arch        string            `json:"arch"`
	CPUs        int32             `json:"cpus"`
	MemoryBytes uint64            `json:"memory_bytes"`
	Labels      map[string]string `json:"labels,omitempty"`
	Timezone    string            `json:"timezone"`
}

// HostOf converts from the protocol.
func HostOf(h *pharosv1.HostInfo) Host {
	return Host{Hostname: h.GetHostname(), IP: h.GetIp(), OS: h.GetOs(), Kernel: h.GetKernel(), Arch: h.GetArch(), CPUs: h.GetCpus(),
		MemoryBytes: h.GetMemoryBytes(), Labels: h.GetLabels(), Timezone: h.GetTimezone()}
}

// Proto converts to the protocol.
func (h Host) Proto() *pharosv1.HostInfo {
	return &pharosv1.HostInfo{Hostname: h.Hostname, Ip: h.IP, Os: h.OS, Kernel: h.Kernel, Arch: h.Arch, Cpus: h.CPUs,
		MemoryBytes: h.MemoryBytes, Labels: h.Labels, Timezone: h.Timezone}
}

// Migrate brings the tables up to date. Every process that uses them calls it at start.
func Migrate(ctx context.Context, db *bun.DB) error {
	return meta.Migrate(ctx, db, "enroll", []meta.Migration{
		meta.CreateTables("agents, join tokens and servers", (*Agent)(nil), (*JoinToken)(nil), (*Server)(nil)),
	})
}

// DeniedError says why an agent is not admitted; it is meant for the agent's operator.
type DeniedError struct{ Reason string }

func (e *DeniedError) Error() string { return e.Reason }

func denied(format string, args ...any) error {
	return &DeniedError{Reason: fmt.Sprintf(format, args...)}
}

// agentID is what an agent may call itself; it ends up in labels and addresses.
var agentID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Admit checks what an agent shows and records it. An agent that came with a
// join token gets a credential, returned here and never again; it is empty for
// an agent that already has one. A refusal is a *DeniedError.
func Admit(ctx context.Context, db *bun.DB, hello *pharosv1.AgentHello, now time.Time) (credential string, err error) {
	if !agentID.MatchString(hello.GetAgentId()) {
		return "", denied("agent id %q is not valid; use 1 to 64 letters, digits, dots, _ or -", hello.GetAgentId())
	}
	if err := checkHost(hello.GetHost()); err != nil {
		return "", err
	}
	err = db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		credential, err = admit(ctx, tx, hello, now)
		return err
	})
	if err == nil {
		return credential, nil
	}
	if d, ok := errors.AsType[*DeniedError](err); ok {
		return "", d
	}
	return "", fmt.Errorf("cannot admit agent %q: %w", hello.GetAgentId(), err)
}

// The most an agent may say of its host: it becomes labels of series.
const (
	maxHostText   = 255
	maxHostLabels = 64
)

func checkHost(h *pharosv1.HostInfo) error {
	texts := []string{h.GetHostname(), h.GetIp(), h.GetOs(), h.GetKernel(), h.GetArch(), h.GetTimezone()}
	for name, value := range h.GetLabels() {
		texts = append(texts, name, value)
	}
	for _, text := range texts {
		if len(text) > maxHostText {
			return denied("host information %.20q… has %d bytes; at most %d", text, len(text), maxHostText)
		}
	}
	if n := len(h.GetLabels()); n > maxHostLabels {
		return denied("the agent's configuration has %d labels; at most %d", n, maxHostLabels)
	}
	return nil
}

func admit(ctx context.Context, tx bun.Tx, hello *pharosv1.AgentHello, now time.Time) (string, error) {
	old := Agent{ID: hello.GetAgentId()}
	err := tx.NewSelect().Model(&old).WherePK().Scan(ctx)
	known := err == nil
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", err
	}
	next := old
	next.Version, next.Host, next.StartedMs = hello.GetVersion(), HostOf(hello.GetHost()), hello.GetStartedMs()
	next.LastSeenMs = now.UnixMilli()

	credential := ""
	if hello.GetCredential() != "" && known {
		switch {
		case old.Forgotten:
			if hello.GetJoinToken() == "" {
				return "", denied("agent %q was removed from this installation; to take it back, start it with a new join token", old.ID)
			}
		case subtle.ConstantTimeCompare(rpc.HashSecret(hello.GetCredential()), old.CredentialHash) == 1:
			next.CredentialUsed = true
			return "", save(ctx, tx, &next, changedAgent(old, next))
		default:
			return "", denied("agent %q has another credential than the one shown; two agents may share a data directory's copy: "+
				"remove the agent in the console, or delete this agent's data directory to make it a new agent", old.ID)
		}
	}
	if hello.GetJoinToken() == "" {
		if hello.GetCredential() != "" {
			return "", denied("agent %q is not known here; give a join token to make it known", hello.GetAgentId())
		}
		return "", denied("agent %q shows neither credential nor join token; create a join token in the console and start the agent with it", hello.GetAgentId())
	}
	if known && old.CredentialUsed && !old.Forgotten {
		return "", denied("agent %q already has a credential, which a join token can't replace; "+
			"remove the agent in the console first, or delete this agent's data directory to make it a new agent", old.ID)
	}
	if err := useToken(ctx, tx, hello.GetJoinToken(), now); err != nil {
		return "", err
	}
	credential = rpc.NewCredential()
	next.ID, next.CredentialHash, next.CredentialUsed, next.Forgotten = hello.GetAgentId(), rpc.HashSecret(credential), false, false
	if !known {
		next.FirstSeenMs = now.UnixMilli()
	}
	return credential, save(ctx, tx, &next, true)
}

// changedAgent tells whether others than register care for what changed.
func changedAgent(old, next Agent) bool {
	return old.Version != next.Version || old.StartedMs != next.StartedMs || !sameHost(old.Host, next.Host)
}

func save(ctx context.Context, tx bun.Tx, a *Agent, announce bool) error {
	_, err := tx.NewInsert().Model(a).On("CONFLICT (id) DO UPDATE").
		Set("credential_hash = EXCLUDED.credential_hash").Set("credential_used = EXCLUDED.credential_used").
		Set("version = EXCLUDED.version").Set("host = EXCLUDED.host").Set("last_seen_ms = EXCLUDED.last_seen_ms").
		Set("started_ms = EXCLUDED.started_ms").Set("forgotten = EXCLUDED.forgotten").Exec(ctx)
	if err != nil || !announce {
		return err
	}
	return meta.Changed(ctx, tx, TopicAgents)
}

// ListAgents returns the agents that are not forgotten, by id.
func ListAgents(ctx context.Context, db bun.IDB) ([]Agent, error) {
	var agents []Agent
	if err := db.NewSelect().Model(&agents).Where("NOT forgotten").Order("id").Scan(ctx); err != nil {
		return nil, fmt.Errorf("cannot list agents: %w", err)
	}
	return agents, nil
}

// Touch records when agents were last heard of, in Unix milliseconds by id. It announces nothing.
func Touch(ctx context.Context, db *bun.DB, lastSeen map[string]int64) error {
	err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		for id, ms := range lastSeen {
			if _, err := tx.NewUpdate().Model((*Agent)(nil)).Set("last_seen_ms = ?", ms).Where("id = ?", id).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot record last contact of %d agents: %w", len(lastSeen), err)
	}
	return nil
}

// ErrNotFound is returned for an id that is not there.
var ErrNotFound = errors.New("not found")

// ForgetAgent removes an agent from the installation: its session ends, no
// monitor expects it, its credential is refused.
func ForgetAgent(ctx context.Context, db *bun.DB, id string) error {
	return change(ctx, db, "forget agent", id, TopicAgents, func(tx bun.Tx) (sql.Result, error) {
		return tx.NewUpdate().Model((*Agent)(nil)).Set("forgotten = ?", true).Where("id = ? AND NOT forgotten", id).Exec(ctx)
	})
}

// change runs a statement that must affect a row, and announces it.
func change(ctx context.Context, db *bun.DB, verb, id, topic string, exec func(bun.Tx) (sql.Result, error)) error {
	err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		res, err := exec(tx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return ErrNotFound
		}
		return meta.Changed(ctx, tx, topic)
	})
	if err != nil {
		return fmt.Errorf("cannot %s %q: %w", verb, id, err)
	}
	return nil
}
