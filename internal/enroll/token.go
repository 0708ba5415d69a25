package enroll

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/pharos-stack/pharos/internal/fielderr"
	"github.com/pharos-stack/pharos/internal/meta"
	"github.com/pharos-stack/pharos/internal/rpc"
	"github.com/uptrace/bun"
)

// JoinToken admits new agents. Only its hash is kept.
type JoinToken struct {
	bun.BaseModel `bun:"table:join_tokens"`
	ID            string `bun:",pk"`
	Hash          []byte `bun:",notnull,unique"`
	// Label says what the token is for.
	Label     string `bun:",notnull"`
	CreatedBy string `bun:",notnull"`
	CreatedMs int64  `bun:",notnull"`
	// ExpiresMs is when the token ends, in Unix milliseconds; 0: never.
	ExpiresMs int64 `bun:",notnull"`
	// Uses counts the agents it admitted.
	Uses int64 `bun:",notnull"`
}

// NewToken describes a join token to make.
type NewToken struct {
	// Label of at most 100 characters.
	Label     string
	CreatedBy string
	// Expires is zero for a token that doesn't.
	Expires time.Time
	// CAFingerprint from rpc.Server, for agents to pin.
	CAFingerprint string
}

// CreateToken makes a join token. The returned text is the only copy. Bad
// input gives fielderr.Errors.
func CreateToken(ctx context.Context, db *bun.DB, n NewToken, now time.Time) (string, JoinToken, error) {
	var es fielderr.Errors
	if c := utf8.RuneCountInString(n.Label); c > 100 {
		es.Add("label", "too_long", "has %d characters; at most 100", c)
	}
	if !n.Expires.IsZero() && !n.Expires.After(now) {
		es.Add("expires", "in_past", "%s is over; give a time to come", n.Expires.UTC().Format(time.RFC3339))
	}
	if err := es.Err(); err != nil {
		return "", JoinToken{}, err
	}
	var id [8]byte
	rand.Read(id[:]) // never fails
	secret := rpc.NewJoinToken(n.CAFingerprint)
	t := JoinToken{ID: "jt_" + hex.EncodeToString(id[:]), Hash: secret.Hash(), Label: n.Label, CreatedBy: n.CreatedBy, CreatedMs: now.UnixMilli()}
	if !n.Expires.IsZero() {
		t.ExpiresMs = n.Expires.UnixMilli()
	}
	err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewInsert().Model(&t).Exec(ctx); err != nil {
			return err
		}
		return meta.Changed(ctx, tx, TopicJoinTokens)
	})
	if err != nil {
		return "", JoinToken{}, fmt.Errorf("cannot create join token: %w", err)
	}
	return secret.Encode(), t, nil
}

// ListTokens returns all join tokens, newest first.
func ListTokens(ctx context.Context, db bun.IDB) ([]JoinToken, error) {
	var tokens []JoinToken
	if err := db.NewSelect().Model(&tokens).Order("created_ms DESC", "id").Scan(ctx); err != nil {
		return nil, fmt.Errorf("cannot list join tokens: %w", err)
	}
	return tokens, nil
}

// DeleteToken ends a join token; agents it admitted stay.
func DeleteToken(ctx context.Context, db *bun.DB, id string) error {
	return change(ctx, db, "delete join token", id, TopicJoinTokens, func(tx bun.Tx) (sql.Result, error) {
		return tx.NewDelete().Model((*JoinToken)(nil)).Where("id = ?", id).Exec(ctx)
	})
}

func useToken(ctx context.Context, tx bun.Tx, text string, now time.Time) error {
	secret, err := rpc.ParseJoinToken(text)
	if err != nil {
		return &DeniedError{Reason: err.Error()}
	}
	var t JoinToken
	// The hash of a random secret tells nothing by how long its look-up takes.
	err = tx.NewSelect().Model(&t).Where("hash = ?", secret.Hash()).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return denied("join token is not known: it was deleted, or belongs to another installation; create one in the console")
	}
	if err != nil {
		return err
	}
	if t.ExpiresMs != 0 && now.UnixMilli() >= t.ExpiresMs {
		return denied("join token %s has expired at %s; create a new one in the console", t.ID, time.UnixMilli(t.ExpiresMs).UTC().Format(time.RFC3339))
	}
	_, err = tx.NewUpdate().Model(&t).Set("uses = uses + 1").WherePK().Exec(ctx)
	return err
}
