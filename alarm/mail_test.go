package alarm

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	"net/mail"
	"strconv"
	"strings"
	"testing"

	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/channel"
)

// mailServer is a strict SMTP server with a submission port's rules: it takes
// no password before STARTTLS and no mail before the password.
type mailServer struct {
	cert     tls.Certificate
	noTLS    bool   // does not offer STARTTLS
	noSender string // what it answers to MAIL, when it refuses
	mails    chan string
	secrets  chan string // what was sent in the clear
}

// newMailServer listens and returns the server's port and the authority of its certificate.
func newMailServer(t *testing.T, s *mailServer) (port int, roots *x509.CertPool) {
	issuer := httptest.NewTLSServer(nil) // lends its certificate, which is for 127.0.0.1
	issuer.Close()
	s.cert = issuer.TLS.Certificates[0]
	s.mails, s.secrets = make(chan string, 1), make(chan string, 1)
	roots = x509.NewCertPool()
	roots.AddCert(issuer.Certificate())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return l.Addr().(*net.TCPAddr).Port, roots
}

func (s *mailServer) serve(conn net.Conn) {
	defer func() { conn.Close() }()
	r := bufio.NewReader(conn)
	say := func(text string) { io.WriteString(conn, text+"\r\n") }
	say("220 mail.test ESMTP")
	secure, known, sender, recipients := false, false, false, 0
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		switch verb, rest, _ := strings.Cut(line, " "); strings.ToUpper(verb) {
		case "EHLO":
			say("250-mail.test")
			if secure {
				say("250 AUTH PLAIN")
			} else if s.noTLS {
				say("250 8BITMIME")
			} else {
				say("250 STARTTLS")
			}
		case "STARTTLS":
			if s.noTLS || secure {
				say("502 5.5.1 not here")
				continue
			}
			say("220 go ahead")
			inner := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{s.cert}})
			if err := inner.Handshake(); err != nil {
				return
			}
			conn, r, secure = inner, bufio.NewReader(inner), true
		case "AUTH":
			if !secure {
				s.secrets <- rest
				say("538 5.7.11 encryption required")
				continue
			}
			if rest != "PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00pharos\x00pw")) {
				say("535 5.7.8 authentication failed")
				continue
			}
			known = true
			say("235 2.7.0 welcome")
		case "MAIL":
			switch {
			case !known:
				say("530 5.7.0 authenticate first")
			case s.noSender != "":
				say(s.noSender)
			case rest == "FROM:<pharos@example.com>" || strings.HasPrefix(rest, "FROM:<pharos@example.com> "):
				sender = true
				say("250 ok")
			default:
				say("553 5.1.8 bad sender")
			}
		case "RCPT":
			if !sender || !strings.HasPrefix(rest, "TO:<") || !strings.HasSuffix(rest, "@example.com>") {
				say("550 5.1.1 no such user")
				continue
			}
			recipients++
			say("250 ok")
		case "DATA":
			if recipients == 0 {
				say("503 5.5.1 no recipients")
				continue
			}
			say("354 go")
			var all strings.Builder
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				if !strings.HasSuffix(line, "\r\n") || len(line) > 1000 {
					say("554 5.6.0 bare newline or line too long")
					return
				}
				all.WriteString(line)
			}
			s.mails <- all.String()
			say("250 2.0.0 queued as 1")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("500 5.5.2 unknown")
		}
	}
}

func mailSpec(port int) channel.Spec {
	return channel.Spec{Type: channel.TypeMail, Mail: &channel.Mail{Host: "127.0.0.1", Port: port, TLS: "starttls", Username: "pharos", Password: "pw",
		From: "Pharos <pharos@example.com>", To: []string{"ops@example.com", "值班 <night@example.com>"}}}
}

func mailFixture(t *testing.T, spec channel.Spec, roots *x509.CertPool) *fixture {
	w := newWorld()
	w.set("Channel", "chn_1", "ops", spec)
	f := newFixture(t, w)
	f.a.o.Roots = roots
	f.notify("ops", "P1", "订单 "+strings.Repeat("长", 600)+"\r\n.\r\nQUIT")
	f.deliverAll()
	return f
}

func TestMailBySTARTTLS(t *testing.T) {
	server := &mailServer{}
	port, roots := newMailServer(t, server)
	mailFixture(t, mailSpec(port), roots).only(alarmstate.Sent)
	m, err := mail.ReadMessage(strings.NewReader(<-server.mails))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || !strings.HasPrefix(subject, "[P1] firing: 订单 长") {
		t.Errorf("subject %q, %v", subject, err)
	}
	to, err := m.Header.AddressList("To")
	if err != nil || len(to) != 2 || to[1].Name != "值班" || to[1].Address != "night@example.com" || m.Header.Get("Message-Id") != "<evt_0001@pharos>" || !strings.HasPrefix(m.Header.Get("References"), "<alt_") {
		t.Errorf("%v %v", m.Header, err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil || !strings.Contains(string(body), "订单 长") {
		t.Errorf("%q %v", body, err)
	}
}

func TestMailKeepsItsPasswordFromTheClear(t *testing.T) {
	server := &mailServer{noTLS: true}
	port, roots := newMailServer(t, server)
	mailFixture(t, mailSpec(port), roots).only(alarmstate.Failed, "502")
	// A server whose certificate nobody vouches for gets none either.
	known := &mailServer{}
	port, _ = newMailServer(t, known)
	mailFixture(t, mailSpec(port), x509.NewCertPool()).only(alarmstate.Queued, "certificate")
	for _, s := range []*mailServer{server, known} {
		select {
		case secret := <-s.secrets:
			t.Errorf("the password was sent in the clear: %s", secret)
		case m := <-s.mails:
			t.Errorf("a mail was sent: %s", m)
		default:
		}
	}
}

func TestMailRefusals(t *testing.T) {
	for text, state := range map[string]string{"451 4.3.2 try later": alarmstate.Queued, "553 5.1.8 bad sender": alarmstate.Failed} {
		port, roots := newMailServer(t, &mailServer{noSender: text})
		mailFixture(t, mailSpec(port), roots).only(state, strings.Fields(text)[0])
	}
	port, roots := newMailServer(t, &mailServer{})
	spec := mailSpec(port)
	spec.Mail.Password = "wrong"
	mailFixture(t, spec, roots).only(alarmstate.Failed, strconv.Itoa(535))
	spec = mailSpec(port)
	spec.Mail.To = []string{"nobody@elsewhere.test"}
	if d := mailFixture(t, spec, roots).only(alarmstate.Failed, "550"); strings.Contains(d.Error, "pw") {
		t.Error(fmt.Sprint("the password is told: ", d.Error))
	}
}
