package alarm

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/channel"
)

// mailTimeout bounds one attempt to hand a mail over.
const mailTimeout = 20 * time.Second

// sendMail sends one plain-text mail by SMTP.
func (a *Alarm) sendMail(ctx context.Context, c channel.Mail, events []alarmstate.Event) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	address := net.JoinHostPort(c.Host, strconv.Itoa(c.Port))
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return "", fmt.Errorf("cannot reach mail server %q: %w", address, err)
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return "", fmt.Errorf("cannot talk to mail server %q: %w", address, err)
	}
	tlsConfig := &tls.Config{ServerName: c.Host, RootCAs: a.o.Roots, MinVersion: tls.VersionTLS12}
	if c.TLS == "tls" {
		conn = tls.Client(conn, tlsConfig)
	}
	if err := a.smtp(conn, c, tlsConfig, events); err != nil {
		err = fmt.Errorf("cannot send mail through %q: %w", address, err)
		var refusal *textproto.Error
		if errors.As(err, &refusal) && refusal.Code/100 == 5 {
			err = permanent{err}
		}
		return "", err
	}
	return "250 accepted", nil
}

func (a *Alarm) smtp(conn net.Conn, c channel.Mail, tlsConfig *tls.Config, events []alarmstate.Event) error {
	client, err := smtp.NewClient(conn, c.Host)
	if err != nil {
		return err
	}
	defer client.Close()
	if c.TLS == "starttls" {
		if err := client.StartTLS(tlsConfig); err != nil {
			return err
		}
	}
	if c.Username != "" {
		if err := client.Auth(smtp.PlainAuth("", c.Username, c.Password, c.Host)); err != nil {
			return err
		}
	}
	from, err := mail.ParseAddress(c.From)
	if err != nil {
		return permanent{err}
	}
	if err := client.Mail(from.Address); err != nil {
		return err
	}
	for _, to := range c.To {
		address, err := mail.ParseAddress(to)
		if err != nil {
			return permanent{err}
		}
		if err := client.Rcpt(address.Address); err != nil {
			return err
		}
	}
	w, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(a.mailText(c, events)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return client.Quit()
}

// mailText renders events as a MIME message; mails of one alert form a thread.
func (a *Alarm) mailText(c channel.Mail, events []alarmstate.Event) []byte {
	w := a.words
	first := events[0]
	var b bytes.Buffer
	// Folded where they can be: a line may have 998 bytes.
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\n", addressText(c.From), strings.Join(addressTexts(c.To), ",\r\n "))
	subject := mime.QEncoding.Encode("utf-8", cutRunes(fmt.Sprintf("[%s] %s: %s", first.Level, w.state(first.Type), first.Title), 200))
	fmt.Fprintf(&b, "Subject: %s\r\n", strings.ReplaceAll(subject, "?= =?", "?=\r\n =?"))
	fmt.Fprintf(&b, "Date: %s\r\nMessage-ID: <%s@pharos>\r\n", a.o.Now().Format(time.RFC1123Z), first.ID)
	if first.AlertID != "" {
		fmt.Fprintf(&b, "References: <%s@pharos>\r\n", first.AlertID)
	}
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	body := quotedprintable.NewWriter(&b)
	for i, e := range events {
		if i == maxKeys {
			fmt.Fprintf(body, w.more+"\r\n", len(events)-maxKeys)
			break
		}
		fmt.Fprintf(body, "%s\r\n", e.Message)
		for _, line := range linesOf(e) {
			fmt.Fprintf(body, "\r\n%s\r\n", strings.ReplaceAll(line, "\n", "\r\n"))
		}
	}
	for _, line := range []string{first.EmergencyText, first.EmergencyLink, a.link(first)} {
		if line != "" {
			fmt.Fprintf(body, "\r\n%s\r\n", line)
		}
	}
	body.Close() // a bytes.Buffer does not fail
	return b.Bytes()
}

// addressText writes an address as headers have it; names need not be Latin.
func addressText(s string) string {
	address, err := mail.ParseAddress(s)
	if err != nil {
		return s // was checked when the channel was made
	}
	return strings.ReplaceAll(address.String(), "?= =?", "?=\r\n =?")
}

func addressTexts(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = addressText(s)
	}
	return out
}
