package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/internal/meta"
	"github.com/pharos-stack/pharos/internal/secret"
)

// keepAnswers is how long the answer to a request with an Idempotency-Key is kept.
const keepAnswers = 24 * time.Hour

// answer is the kept answer to a request.
type answer struct {
	bun.BaseModel `bun:"table:idempotent_answers"`
	// Key is a hash of caller, method, address and Idempotency-Key.
	Key string `bun:",pk"`
	// Request is a hash of the body, to notice another request under the same key.
	Request   string `bun:",notnull"`
	CreatedMs int64  `bun:",notnull"`
	// Status is 0 while the request runs.
	Status int `bun:",notnull"`
	// Sealed holds header and body encrypted: an answer may show a token once.
	Sealed []byte `bun:",notnull"`
}

// Migrations of the table of kept answers.
var Migrations = []meta.Migration{meta.CreateTables("idempotent answers", (*answer)(nil))}

// Idempotency repeats the kept answer when a caller sends a change again with
// the same Idempotency-Key.
type Idempotency struct {
	DB    *bun.DB
	Box   *secret.Box
	Log   *slog.Logger
	Clock func() time.Time
}

// Wrap puts Idempotency before next.
func (i *Idempotency) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Idempotency-Key")
		p, err := Caller(r.Context())
		if key == "" || err != nil || !Mutation(r) {
			next.ServeHTTP(w, r)
			return
		}
		if len(key) > 200 {
			WriteError(w, r, BadField("Idempotency-Key", "too_long", "has %d bytes; at most 200", len(key)))
			return
		}
		if err := i.serve(w, r, p, key, next); err != nil {
			i.Log.Error("cannot keep an answer", "request_id", RequestID(r.Context()), "err", err)
			WriteError(w, r, FromError(err))
		}
	})
}

// Prune removes answers that need not be kept any longer.
func (i *Idempotency) Prune(ctx context.Context) error {
	_, err := i.DB.NewDelete().Model((*answer)(nil)).Where("created_ms < ?", i.Clock().Add(-keepAnswers).UnixMilli()).Exec(ctx)
	return err
}

func hash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (i *Idempotency) serve(w http.ResponseWriter, r *http.Request, p *Principal, key string, next http.Handler) error {
	// What has begun is finished and kept also when the caller hangs up.
	ctx := context.WithoutCancel(r.Context())
	body, err := io.ReadAll(r.Body) // in memory since limitBody
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	now := i.Clock()
	mine := &answer{Key: hash(p.UserID, p.TokenID, r.Method, r.URL.RequestURI(), key), Request: hash(string(body)), CreatedMs: now.UnixMilli(), Sealed: []byte{}}
	// An answer that has grown old gives its key free.
	if _, err := i.DB.NewDelete().Model(mine).WherePK().Where("created_ms < ?", now.Add(-keepAnswers).UnixMilli()).Exec(ctx); err != nil {
		return err
	}
	res, err := i.DB.NewInsert().Model(mine).On("CONFLICT (key) DO NOTHING").Exec(ctx)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil {
		return err
	} else if n == 0 {
		return i.repeat(ctx, w, r, mine)
	}

	rec := &recorder{ResponseWriter: w, status: http.StatusOK}
	defer func() {
		// A failure of the server may be repeated; so may a request that panicked.
		if rec.done && rec.status < http.StatusInternalServerError {
			return
		}
		if _, err := i.DB.NewDelete().Model(mine).WherePK().Exec(ctx); err != nil {
			i.Log.Error("cannot forget a failed answer", "request_id", RequestID(ctx), "err", err)
		}
	}()
	next.ServeHTTP(rec, r)
	if rec.status < http.StatusInternalServerError {
		kept, err := json.Marshal(keptAnswer{w.Header().Clone(), rec.body.Bytes()})
		if err != nil {
			return err
		}
		mine.Status, mine.Sealed = rec.status, i.Box.Seal(kept, mine.Key)
		if _, err := i.DB.NewUpdate().Model(mine).WherePK().Exec(ctx); err != nil {
			// The answer is out already; the key stays taken until it expires.
			i.Log.Error("cannot keep an answer", "request_id", RequestID(ctx), "err", err)
		}
	}
	rec.done = true
	return nil
}

type keptAnswer struct {
	Header http.Header
	Body   []byte
}

func (i *Idempotency) repeat(ctx context.Context, w http.ResponseWriter, r *http.Request, mine *answer) error {
	old := &answer{Key: mine.Key}
	if err := i.DB.NewSelect().Model(old).WherePK().Scan(ctx); err != nil {
		return err
	}
	switch {
	case old.Request != mine.Request:
		WriteError(w, r, BadField("Idempotency-Key", "key_reused", "was used for another request within 24 h; use a new key"))
		return nil
	case old.Status == 0:
		WriteError(w, r, code(http.StatusConflict, "in_progress").WithHeader("Retry-After", "1"))
		return nil
	}
	text, err := i.Box.Open(old.Sealed, old.Key)
	if err != nil {
		return err
	}
	var kept keptAnswer
	if err := json.Unmarshal(text, &kept); err != nil {
		return err
	}
	for name, values := range kept.Header {
		if name != "X-Request-Id" && name != "Set-Cookie" {
			w.Header()[name] = values
		}
	}
	w.Header().Set("Idempotent-Replay", "true")
	w.WriteHeader(old.Status)
	_, err = w.Write(kept.Body)
	if err != nil {
		i.Log.Debug("caller went away", "err", err)
	}
	return nil
}

// recorder keeps a copy of what is answered.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
	done   bool
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	r.body.Write(p)
	return r.ResponseWriter.Write(p)
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
