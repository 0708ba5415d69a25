package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pharos-stack/pharos/internal/fielderr"
	"github.com/pharos-stack/pharos/internal/resource"
)

// Error is how every error of the API looks. Code is stable; message and
// details are for people.
type Error struct {
	status  int
	headers http.Header

	Code      string           `json:"code" doc:"Stable lower_snake identifier"`
	Message   string           `json:"message" doc:"What is wrong and how to mend it, in the caller's language where there is a translation"`
	RequestID string           `json:"request_id"`
	Details   []fielderr.Error `json:"details" doc:"All bad fields, or what refers to an object in use"`
}

func (e *Error) Error() string { return e.Message }

// GetStatus returns the HTTP status; it is 0 only for the schema.
func (e *Error) GetStatus() int { return e.status }

// GetHeaders returns headers to send with the error.
func (e *Error) GetHeaders() http.Header { return e.headers }

// Fail returns an error with an HTTP status and a code.
func Fail(status int, code, format string, args ...any) *Error {
	return &Error{status: status, Code: code, Message: fmt.Sprintf(format, args...), Details: []fielderr.Error{}}
}

// WithHeader adds a header to the answer.
func (e *Error) WithHeader(name, value string) *Error {
	if e.headers == nil {
		e.headers = http.Header{}
	}
	e.headers.Set(name, value)
	return e
}

// Invalid returns the error for bad fields.
func Invalid(es ...fielderr.Error) *Error {
	return &Error{status: http.StatusUnprocessableEntity, Code: "invalid", Message: fixed["invalid"][0], Details: es}
}

// BadField returns the error for one bad field.
func BadField(field, code, format string, args ...any) *Error {
	return Invalid(fielderr.Error{Field: field, Code: code, Message: fmt.Sprintf(format, args...)})
}

// NotFound returns the error for an object that is not there or not visible.
func NotFound(what, name string) *Error {
	return Fail(http.StatusNotFound, "not_found", "there is no %s %q here", what, name)
}

// FromError turns any error of the capabilities into one of the API. What is
// not known becomes 500 without its text, which may hold internals.
func FromError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if es, ok := errors.AsType[fielderr.Errors](err); ok {
		return Invalid(es...)
	}
	if inUse, ok := errors.AsType[*resource.InUseError](err); ok {
		why := "in_use"
		if inUse.Kind == resource.KindFolder {
			why = "folder_not_empty"
		}
		e := code(http.StatusConflict, why)
		for _, r := range inUse.Referrers {
			e.Details = append(e.Details, fielderr.Error{Field: r.Field, Code: "referrer", Message: r.Kind + " " + r.Name})
		}
		return e
	}
	switch {
	case errors.Is(err, resource.ErrNotFound):
		return Fail(http.StatusNotFound, "not_found", "%v", err)
	case errors.Is(err, resource.ErrNameTaken):
		return Fail(http.StatusConflict, "name_taken", "%v: choose another name", err)
	case errors.Is(err, resource.ErrVersionConflict):
		return Fail(http.StatusConflict, "version_conflict", "%v: read it again and repeat the change", err)
	case errors.Is(err, context.DeadlineExceeded):
		return Fail(http.StatusGatewayTimeout, "timeout", "%s", fixed["timeout"][0])
	case errors.Is(err, context.Canceled):
		return Fail(499, "cancelled", "the caller went away")
	}
	if s, ok := status.FromError(err); ok {
		return fromGRPC(s)
	}
	return Fail(http.StatusInternalServerError, "internal", "%s", fixed["internal"][0])
}

func fromGRPC(s *status.Status) *Error {
	switch s.Code() {
	case codes.InvalidArgument:
		return Fail(http.StatusUnprocessableEntity, "invalid", "%s", s.Message())
	case codes.NotFound:
		return Fail(http.StatusNotFound, "not_found", "%s", s.Message())
	case codes.FailedPrecondition:
		return Fail(http.StatusConflict, "conflict", "%s", s.Message())
	case codes.ResourceExhausted:
		return Fail(http.StatusUnprocessableEntity, "limit_exceeded", "%s", s.Message())
	case codes.DeadlineExceeded:
		return Fail(http.StatusGatewayTimeout, "timeout", "%s", fixed["timeout"][0])
	case codes.Canceled:
		return Fail(499, "cancelled", "the caller went away")
	case codes.Unavailable:
		return Fail(http.StatusServiceUnavailable, "unavailable", "%s", fixed["unavailable"][0]).WithHeader("Retry-After", "2")
	}
	return Fail(http.StatusInternalServerError, "internal", "%s", fixed["internal"][0])
}

// fixed holds the messages that never change, English and Chinese, by code.
var fixed = map[string][2]string{
	"invalid":                  {"some fields are not valid; details names them", "部分字段无效，详见 details"},
	"bad_request":              {"the request can't be read; see details", "无法解析请求，详见 details"},
	"unauthenticated":          {"sign in, or send an API token as Authorization: Bearer …", "请先登录，或通过 Authorization: Bearer … 提供 API 令牌"},
	"session_expired":          {"the session has expired; sign in again", "会话已过期，请重新登录"},
	"bad_token":                {"the API token is not known or has expired; create a new one", "API 令牌无效或已过期，请重新创建"},
	"bad_credentials":          {"user name or password is wrong", "用户名或密码错误"},
	"too_many_attempts":        {"too many failed attempts; wait and try again", "失败次数过多，请稍后再试"},
	"forbidden":                {"your role does not allow this; ask an administrator", "您的角色无权执行此操作，请联系管理员"},
	"csrf_required":            {"send the header X-Pharos-Csrf: 1 with changes made from a browser session", "浏览器会话的修改请求需带请求头 X-Pharos-Csrf: 1"},
	"password_change_required": {"change the one-time password first: PUT /api/v1/me/password", "请先修改一次性密码：PUT /api/v1/me/password"},
	"too_large":                {"the request is larger than 1 MiB; send less at once", "请求超过 1 MiB，请减少单次提交内容"},
	"internal":                 {"the server failed; the log has the cause under the request id", "服务器内部错误，可用请求编号在日志中查找原因"},
	"unavailable":              {"a part of the server is not reachable; try again in a moment", "部分服务暂不可用，请稍后重试"},
	"timeout":                  {"it took too long; ask for less or try again", "操作超时，请缩小范围或重试"},
	"in_use":                   {"others refer to it; details names them, change or delete those first", "该对象正被引用，请先修改或删除 details 中列出的对象"},
	"folder_not_empty":         {"the folder is not empty; details names its content, move or delete that first", "文件夹不为空，请先移动或删除 details 中列出的内容"},
	"in_progress":              {"a request with this Idempotency-Key is still running; ask again in a moment", "使用相同 Idempotency-Key 的请求仍在执行，请稍后再试"},
	"agent_offline":            {"the agent is not connected; check that it runs and reaches the server", "采集代理未连接，请检查其是否运行并能访问服务器"},
	"agent_timeout":            {"the agent did not answer in time; try again", "采集代理未及时响应，请重试"},
	"route_not_found":          {"there is nothing at this address; see /api/openapi.json", "该地址不存在，参见 /api/openapi.json"},
	"method_not_allowed":       {"this address does not take this method; see /api/openapi.json", "该地址不支持此方法，参见 /api/openapi.json"},
}

// code returns an error whose message is fixed.
func code(status int, name string) *Error { return Fail(status, name, "%s", fixed[name][0]) }

// Code returns an error with one of the fixed messages.
func Code(status int, name string) *Error {
	if _, ok := fixed[name]; !ok {
		panic("api: no fixed message for code " + name)
	}
	return code(status, name)
}

// localised returns a copy of e for one caller.
func (e *Error) localised(requestID, acceptLanguage string) *Error {
	c := *e
	c.RequestID = requestID
	if c.Details == nil {
		c.Details = []fielderr.Error{}
	}
	if texts, ok := fixed[c.Code]; ok && c.Message == texts[0] && PrefersChinese(acceptLanguage) {
		c.Message = texts[1]
	}
	return &c
}

// PrefersChinese reports whether the first of a header's languages is Chinese.
func PrefersChinese(acceptLanguage string) bool {
	first, _, _ := strings.Cut(acceptLanguage, ",")
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(first)), "zh")
}

// fromHuma builds the error for input that does not fit the schema.
func fromHuma(status int, msg string, errs ...error) huma.StatusError {
	e := &Error{status: status, Message: msg, Details: []fielderr.Error{}}
	switch {
	case status == http.StatusUnprocessableEntity:
		e.Code, e.Message = "invalid", fixed["invalid"][0]
	case status == http.StatusRequestEntityTooLarge:
		e.Code, e.Message = "too_large", fixed["too_large"][0]
	case status >= http.StatusInternalServerError:
		e.Code, e.Message = "internal", fixed["internal"][0]
		return e
	case status != 0:
		e.Code, e.Message = "bad_request", fixed["bad_request"][0]
		if len(errs) == 0 {
			e.Details = append(e.Details, fielderr.Error{Field: "", Code: "bad_value", Message: msg})
		}
	}
	for _, err := range errs {
		d := fielderr.Error{Code: "bad_value", Message: err.Error()}
		if detail, ok := errors.AsType[*huma.ErrorDetail](err); ok {
			_, d.Field, _ = strings.Cut(detail.Location, ".")
			d.Message = detail.Message
			switch {
			case strings.HasPrefix(detail.Message, "expected required property"):
				d.Code = "required"
				name := strings.TrimSuffix(strings.TrimPrefix(detail.Message, "expected required property "), " to be present")
				d.Field = strings.TrimPrefix(d.Field+"."+name, ".")
			case detail.Message == "unexpected property":
				d.Code = "unknown_field"
			case detail.Message == "unknown query parameter":
				d.Code = "unknown_parameter"
			}
		}
		e.Details = append(e.Details, d)
	}
	return e
}

func init() {
	// huma has its hooks as package variables; they are set before any use.
	huma.NewError = fromHuma
	huma.DefaultArrayNullable = false
}
