// Package recipient defines who is told of alarms: the resources Contact,
// NotificationGroup, OnCall and Subscription.
//
// It promises that each number and address belongs to one contact, that a
// subscriber has a scope once, and that who has duty at a moment depends on the
// schedule and the moment alone.
package recipient

import (
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pharos-stack/pharos/internal/fielderr"
)

// ContactNames are the names of contacts, and ContactNameRule tells people.
var ContactNames = regexp.MustCompile(`^[A-Za-z\x{4e00}-\x{9fff}][A-Za-z0-9._\x{4e00}-\x{9fff}]{1,39}$`)

// ContactNameRule tells people what ContactNames matches.
const ContactNameRule = "use 2 to 40 letters, Chinese characters, digits, dots or underscores, the first a letter or a Chinese character"

// Contact is a person who can be told.
type Contact struct {
	// Phone as E.164 has it.
	Phone string `json:"phone,omitempty" yaml:"phone,omitempty" doc:"Number with + and country code; spaces and hyphens are taken out"`
	Email string `json:"email,omitempty" yaml:"email,omitempty"`
	// User is the login name of the person's account: settings and delegations are by account.
	User string `json:"user,omitempty" yaml:"user,omitempty" maxLength:"100" doc:"Login name of the person's account, which has the personal settings"`
}

var (
	phoneNumber = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	separators  = strings.NewReplacer(" ", "", "-", "", "(", "", ")", "", ".", "")
)

// WithDefaults returns a copy of c with number and address in their normal form.
func (c Contact) WithDefaults() Contact {
	c.Phone, c.Email = separators.Replace(c.Phone), strings.TrimSpace(c.Email)
	c.User = strings.ToLower(strings.TrimSpace(c.User)) // as accounts are compared
	if rest, ok := strings.CutPrefix(c.Phone, "00"); ok {
		c.Phone = "+" + rest
	}
	return c
}

// Validate checks c after WithDefaults.
func (c Contact) Validate(prefix string) error {
	var es fielderr.Errors
	if c.Phone == "" && c.Email == "" {
		es.Add(prefix+".phone", "phone_or_email_required", "is empty, and email too; give at least one of them")
	}
	if c.Phone != "" && !phoneNumber.MatchString(c.Phone) {
		es.Add(prefix+".phone", "bad_phone", "%q is no number with + and country code, such as +8613800138000", c.Phone)
	}
	if c.Email != "" {
		if a, err := mail.ParseAddress(c.Email); err != nil || a.Address != c.Email {
			es.Add(prefix+".email", "bad_address", "%q is not a mail address", c.Email)
		}
	}
	return es.Err()
}

// Masked is c with most of its number and address hidden.
func (c Contact) Masked() Contact {
	if n := len(c.Phone); n > 7 {
		c.Phone = c.Phone[:3] + strings.Repeat("*", n-5) + c.Phone[n-2:]
	}
	if at := strings.LastIndexByte(c.Email, '@'); at > 0 {
		c.Email = string([]rune(c.Email)[:1]) + "***" + c.Email[at:]
	}
	return c
}

// CheckContact refuses what another contact of the workspace has.
func CheckContact(name string, c Contact, others map[string]Contact) error {
	var es fielderr.Errors
	for other, o := range others {
		if strings.EqualFold(other, name) {
			continue
		}
		if c.Phone != "" && c.Phone == o.Phone {
			es.Add("spec.phone", "phone_taken", "%s is the number of contact %q; each number is in one contact only", c.Phone, other)
		}
		if c.Email != "" && strings.EqualFold(c.Email, o.Email) {
			es.Add("spec.email", "email_taken", "%s is the address of contact %q; each address is in one contact only", c.Email, other)
		}
		if c.User != "" && c.User == o.User {
			es.Add("spec.user", "user_taken", "%s is the account of contact %q; link it to one contact only", c.User, other)
		}
	}
	return es.Err()
}

// Group is the spec of a NotificationGroup: contacts and channels that are told together.
type Group struct {
	Title    string   `json:"title" yaml:"title" minLength:"1" maxLength:"64" doc:"Name people see"`
	Contacts []string `json:"contacts,omitempty" yaml:"contacts,omitempty" maxItems:"200" doc:"Names of contacts"`
	Channels []string `json:"channels,omitempty" yaml:"channels,omitempty" maxItems:"20" doc:"Names of channels, such as robots"`
}

// WithDefaults returns g.
func (g Group) WithDefaults() Group { return g }

// Validate checks g.
func (g Group) Validate(prefix string) error {
	var es fielderr.Errors
	checkTitle(&es, prefix, g.Title)
	checkNames(&es, prefix+".contacts", g.Contacts, 200)
	checkNames(&es, prefix+".channels", g.Channels, 20)
	return es.Err()
}

// Without is g without a contact.
func (g Group) Without(contact string) Group {
	g.Contacts = slices.DeleteFunc(slices.Clone(g.Contacts), func(c string) bool { return strings.EqualFold(c, contact) })
	return g
}

func checkTitle(es *fielderr.Errors, prefix, title string) {
	if n := utf8.RuneCountInString(title); n < 1 || n > 64 {
		es.Add(prefix+".title", "bad_title", "has %d characters; give 1 to 64", n)
	}
}

func checkNames(es *fielderr.Errors, at string, names []string, most int) {
	if len(names) > most {
		es.Add(at, "too_many", "has %d; at most %d", len(names), most)
	}
	seen := map[string]bool{}
	for i, n := range names {
		if seen[strings.ToLower(n)] {
			es.Add(fmt.Sprintf("%s[%d]", at, i), "duplicate_name", "%q is given twice", n)
		}
		seen[strings.ToLower(n)] = true
	}
}
