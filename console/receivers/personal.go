package receivers

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/audit"
	"github.com/pharos-stack/pharos/internal/fielderr"
	"github.com/pharos-stack/pharos/internal/personal"
)

type alarmSettings struct{ Body personal.Settings }
type delegationList struct {
	Body struct {
		Items []personal.Delegation `json:"items"`
	}
}

// DelegationInput is what a client sends to have somebody stand in.
type DelegationInput struct {
	Substitute string `json:"substitute" doc:"Login name of who gets my notices"`
	FromMs     int64  `json:"from_ms"`
	ToMs       int64  `json:"to_ms" doc:"At most 90 days after from_ms"`
}
type delegateIn struct{ Body DelegationInput }
type delegated struct{ Body personal.Delegation }
type undelegateIn struct {
	ID string `path:"id"`
}

func (s *Receivers) personalRoutes(r *api.API) {
	api.Route(r, "getMyAlarmSettings", "GET", "/api/v1/me/alarm_settings", api.SignedIn, "Read which channels I switched off", s.settings)
	api.Route(r, "setMyAlarmSettings", "PUT", "/api/v1/me/alarm_settings", api.SignedIn, "Switch channels on and off for me", s.setSettings)
	api.Route(r, "listMyDelegations", "GET", "/api/v1/me/delegations", api.SignedIn, "List who stands in for me", s.delegations)
	api.Route(r, "createMyDelegation", "POST", "/api/v1/me/delegations", api.SignedIn, "Let somebody stand in for me", s.delegate, api.Status(http.StatusCreated))
	api.Route(r, "deleteMyDelegation", "DELETE", "/api/v1/me/delegations/{id}", api.SignedIn, "End a delegation", s.undelegate, api.Status(http.StatusNoContent))
}

// account is the caller's login name as contacts have it: tokens act for their user.
func (s *Receivers) account(ctx context.Context) (string, error) {
	p, refused := api.Caller(ctx)
	if refused != nil {
		return "", refused
	}
	return s.login(ctx, "id = ?", p.UserID)
}

func (s *Receivers) login(ctx context.Context, where, value string) (string, error) {
	var names []string
	if err := s.DB.NewSelect().Table("users").Column("username_key").Where(where, value).Scan(ctx, &names); err != nil {
		return "", fmt.Errorf("cannot read account: %w", err)
	}
	if len(names) == 0 {
		return "", nil
	}
	return names[0], nil
}

func (s *Receivers) settings(ctx context.Context, _ *struct{}) (*alarmSettings, error) {
	user, err := s.account(ctx)
	if err != nil {
		return nil, err
	}
	out, err := personal.Load(ctx, s.DB, user)
	return &alarmSettings{Body: out}, err
}

func (s *Receivers) setSettings(ctx context.Context, in *alarmSettings) (*alarmSettings, error) {
	user, err := s.account(ctx)
	if err != nil {
		return nil, err
	}
	err = s.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		before, err := personal.Load(ctx, tx, user)
		if err != nil {
			return err
		}
		if err := personal.Save(ctx, tx, user, in.Body); err != nil {
			return err
		}
		return audit.Record(ctx, tx, api.Actor(ctx), audit.Entry{Action: "update", Kind: "AlarmSettings", Name: user}, before, in.Body)
	})
	return in, err
}

func (s *Receivers) delegations(ctx context.Context, _ *struct{}) (*delegationList, error) {
	user, err := s.account(ctx)
	if err != nil {
		return nil, err
	}
	list, err := personal.Delegations(ctx, s.DB, user)
	out := &delegationList{}
	out.Body.Items = list
	return out, err
}

func (s *Receivers) delegate(ctx context.Context, in *delegateIn) (*delegated, error) {
	user, err := s.account(ctx)
	if err != nil {
		return nil, err
	}
	substitute, err := s.login(ctx, "username_key = ?", strings.ToLower(in.Body.Substitute))
	if err != nil {
		return nil, err
	}
	if substitute == "" {
		return nil, fielderr.Errors{{Field: "substitute", Code: "bad_substitute", Message: fmt.Sprintf("there is no account %q; give the login name of a colleague", in.Body.Substitute)}}
	}
	d := personal.Delegation{ID: alarmstate.NewID("dlg_"), User: user, Substitute: substitute, FromMs: in.Body.FromMs, ToMs: in.Body.ToMs}
	if err := personal.Delegate(ctx, s.DB, d); err != nil {
		return nil, err
	}
	return &delegated{Body: d}, audit.Record(ctx, s.DB, api.Actor(ctx), audit.Entry{Action: "create", Kind: "Delegation", Name: d.ID, ObjectID: d.ID}, nil, d)
}

func (s *Receivers) undelegate(ctx context.Context, in *undelegateIn) (*struct{}, error) {
	user, err := s.account(ctx)
	if err != nil {
		return nil, err
	}
	gone, err := personal.Undelegate(ctx, s.DB, user, in.ID)
	if err != nil {
		return nil, err
	}
	if !gone {
		return nil, api.NotFound("delegation", in.ID)
	}
	return nil, audit.Record(ctx, s.DB, api.Actor(ctx), audit.Entry{Action: "delete", Kind: "Delegation", Name: in.ID, ObjectID: in.ID}, nil, nil)
}
