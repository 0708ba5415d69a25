package alarms

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/audit"
	"github.com/pharos-stack/pharos/internal/channel"
	"github.com/pharos-stack/pharos/internal/resource"
)

// testTimeout is how long a test notice may take.
const testTimeout = 20 * time.Second

// Channel is a channel without its secrets.
type Channel struct {
	api.Meta
	Spec channel.Spec `json:"spec" doc:"Secret fields are empty; those of secrets have a value"`
	// Secrets are the secret fields that have a value.
	Secrets []string `json:"secrets" doc:"Secret fields that have a value, such as dingtalk.url; leave them out of an update to keep them"`
}

// ChannelInput is what a client sends. Secrets that are left out are kept.
type ChannelInput struct {
	Name    string       `json:"name,omitempty" doc:"For good: a letter or digit, then letters, digits, dots, hyphens or underscores, at most 63"`
	Version int64        `json:"version,omitempty" doc:"Required for an update"`
	Spec    channel.Spec `json:"spec"`
}

type channelBody struct{ Body Channel }
type channelListIn struct {
	api.InWorkspace
	api.ListParams
	Type string `query:"type" enum:"dingtalk,wecom,feishu,slack,pagerduty,gateway,aliyun,tencent,twilio,alertmanager,webhook,mail,"`
}
type channelListOut struct{ Body api.Page[Channel] }
type channelCreateIn struct {
	api.InWorkspace
	Body api.Definition[ChannelInput]
}
type channelUpdateIn struct {
	One
	Body api.Definition[ChannelInput]
}
type testOut struct{ Body alarmstate.Delivery }

func (a *Alarms) channelRoutes(r *api.API) {
	const all = "/api/v1/workspaces/{workspace}/channels"
	const item = all + "/{name}"
	api.Route(r, "listChannels", "GET", all, api.NeedViewer, "List channels", a.listChannels)
	api.Route(r, "createChannel", "POST", all, api.NeedEditor, "Create a channel", a.createChannel, api.OwnValidation, api.Status(http.StatusCreated))
	api.Route(r, "getChannel", "GET", item, api.NeedViewer, "Read a channel", a.getChannel)
	api.Route(r, "updateChannel", "PUT", item, api.NeedEditor, "Update a channel", a.updateChannel, api.OwnValidation)
	api.Route(r, "deleteChannel", "DELETE", item, api.NeedEditor, "Delete a channel", a.deleteChannel, api.Status(http.StatusNoContent))
	api.Route(r, "testChannel", "POST", item+":test", api.NeedEditor, "Send a test notice and tell what became of it", a.testChannel)
}

func (a *Alarms) channelOf(ctx context.Context, o resource.Object) (Channel, error) {
	spec, err := resource.SpecOf[channel.Spec](o)
	if err != nil {
		return Channel{}, err
	}
	paths, err := a.Resources.SecretPaths(ctx, o.Kind, o.Metadata.Workspace, o.Metadata.Name)
	if err != nil {
		return Channel{}, err
	}
	c := Channel{Meta: api.MetaOf(o), Spec: spec, Secrets: []string{}}
	for path := range paths {
		c.Secrets = append(c.Secrets, path)
	}
	slices.Sort(c.Secrets)
	return c, nil
}

func (a *Alarms) answerChannel(ctx context.Context, o resource.Object, err error) (*channelBody, error) {
	if err != nil {
		return nil, err
	}
	c, err := a.channelOf(ctx, o)
	return &channelBody{Body: c}, err
}

func (a *Alarms) listChannels(ctx context.Context, in *channelListIn) (*channelListOut, error) {
	objects, err := a.Resources.List(ctx, resource.KindChannel, in.Workspace)
	if err != nil {
		return nil, err
	}
	var rows []Channel
	for _, o := range objects {
		c, err := a.channelOf(ctx, o)
		if err != nil {
			return nil, err
		}
		if in.Type == "" || string(c.Spec.Type) == in.Type {
			rows = append(rows, c)
		}
	}
	page, err := api.Paginate(rows, in.ListParams, func(c Channel) string { return c.Name + " " + c.Spec.Title }, api.Columns[Channel]{
		"name": api.By(func(c Channel) string { return c.Name }), "title": api.By(func(c Channel) string { return c.Spec.Title }),
		"type":       api.By(func(c Channel) string { return string(c.Spec.Type) }),
		"created_at": api.By(func(c Channel) int64 { return c.CreatedAt.UnixMilli() }), "updated_at": api.By(func(c Channel) int64 { return c.UpdatedAt.UnixMilli() }),
	})
	return &channelListOut{Body: page}, err
}

func (a *Alarms) getChannel(ctx context.Context, in *One) (*channelBody, error) {
	o, err := a.Resources.Get(ctx, resource.KindChannel, in.Workspace, in.Name)
	return a.answerChannel(ctx, o, err)
}

func (a *Alarms) createChannel(ctx context.Context, in *channelCreateIn) (*channelBody, error) {
	o, err := in.Body.Object(resource.KindChannel, in.Workspace, "")
	if err != nil {
		return nil, err
	}
	o, err = a.Resources.Create(ctx, api.Actor(ctx), o)
	return a.answerChannel(ctx, o, err)
}

func (a *Alarms) updateChannel(ctx context.Context, in *channelUpdateIn) (*channelBody, error) {
	o, err := in.Body.Updated(resource.KindChannel, in.Workspace, in.Name)
	if err != nil {
		return nil, err
	}
	o, err = a.Resources.Update(ctx, api.Actor(ctx), o)
	return a.answerChannel(ctx, o, err)
}

func (a *Alarms) deleteChannel(ctx context.Context, in *deleteIn) (*struct{}, error) {
	return nil, a.Resources.Delete(ctx, api.Actor(ctx), resource.KindChannel, in.Workspace, in.Name, in.Version)
}

func (a *Alarms) testChannel(ctx context.Context, in *One) (*testOut, error) {
	o, err := a.Resources.Get(ctx, resource.KindChannel, in.Workspace, in.Name)
	if err != nil {
		return nil, err
	}
	if err := a.record(ctx, in.Workspace, "test", resource.KindChannel, o.Metadata.Name, nil); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, testTimeout)
	defer cancel()
	d, err := alarmstate.SendTest(ctx, a.DB, in.Workspace, o.Metadata.Name, api.Actor(ctx).Name)
	return &testOut{Body: d}, err
}

// record notes an act that changes no definition.
func (a *Alarms) record(ctx context.Context, workspace, action, kind, name string, what map[string]string) error {
	var after any
	if what != nil {
		after = what
	}
	if err := audit.Record(ctx, a.DB, api.Actor(ctx), audit.Entry{Workspace: workspace, Action: action, Kind: kind, Name: name}, nil, after); err != nil {
		return fmt.Errorf("cannot record %s: %w", action, err)
	}
	return nil
}
