package rpc

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc/credentials"
)

// clusterName is in every certificate the cluster's CA issues. Who holds it is
// a server of the cluster, whatever name or address it was reached by.
const clusterName = "server.cluster.pharos.internal"

// fingerprintLen is the length of a fingerprint: 32 bytes in base64url.
const fingerprintLen = 43

// CA issues the certificates of the cluster's servers. It follows from the
// cluster key alone, so that each server can issue its own.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// CA derives the cluster's CA; the same key gives the same certificate everywhere.
func (k ClusterKey) CA() (*CA, error) {
	key, err := k.caKey()
	if err != nil {
		return nil, fmt.Errorf("cannot make cluster CA: %w", err)
	}
	serial := sha256.Sum256([]byte("serial" + string(k.derive("ca id", 16))))
	template := &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(serial[:16]),
		Subject:               pkix.Name{CommonName: "Pharos cluster CA"},
		NotBefore:             time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(2120, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:              x509.KeyUsageCertSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
	}
	// Without a source of randomness the signature is deterministic (RFC 6979).
	der, err := x509.CreateCertificate(nil, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("cannot make cluster CA: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("cannot make cluster CA: %w", err)
	}
	return &CA{cert: cert, key: key}, nil
}

func (k ClusterKey) caKey() (*ecdsa.PrivateKey, error) {
	// A candidate is outside the curve's order once in 2^32 or so: then take the next.
	for i := range 100 {
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), k.derive("ca "+strconv.Itoa(i), 32))
		if err == nil {
			return key, nil
		}
	}
	return nil, errors.New("no private key follows from the cluster key")
}

// Fingerprint is what agents pin.
func (ca *CA) Fingerprint() string { return fingerprint(ca.cert) }

// PEM returns the CA's certificate.
func (ca *CA) PEM() []byte { return encodePEM(ca.cert) }

// issue makes a server certificate, valid for ten years: it lives as long as the process.
func (ca *CA) issue() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(randomBytes(16)),
		Subject:      pkix.Name{CommonName: host},
		NotBefore:    now.Add(-24 * time.Hour), // agents' clocks may be behind
		NotAfter:     now.AddDate(10, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{clusterName, host, "localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der, ca.cert.Raw}, PrivateKey: key}, nil
}

// CAFingerprint returns what belongs into join tokens; empty without TLS.
func (s Server) CAFingerprint() (string, error) {
	if s.Insecure {
		return "", nil
	}
	certs, err := s.roots()
	if err != nil {
		return "", fmt.Errorf("cannot tell fingerprint of CA: %w", err)
	}
	return fingerprint(certs[0]), nil
}

// roots returns the CAs servers trust, never none.
func (s Server) roots() ([]*x509.Certificate, error) {
	if s.CAFile == "" {
		ca, err := s.Key.CA()
		if err != nil {
			return nil, err
		}
		return []*x509.Certificate{ca.cert}, nil
	}
	b, err := os.ReadFile(s.CAFile)
	if err != nil {
		return nil, err
	}
	certs, err := parsePEM(b)
	if err != nil {
		return nil, fmt.Errorf("CA file %q: %w", s.CAFile, err)
	}
	return certs, nil
}

func (s Server) serverTLS() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS13}
	if s.CertFile == "" && s.KeyFile == "" {
		ca, err := s.Key.CA()
		if err != nil {
			return nil, err
		}
		cert, err := ca.issue()
		if err != nil {
			return nil, err
		}
		cfg.Certificates = []tls.Certificate{cert}
		return cfg, nil
	}
	if s.CAFile == "" {
		return nil, errors.New("a certificate of one's own needs the file of its CA too, which agents pin")
	}
	cert, err := tls.LoadX509KeyPair(s.CertFile, s.KeyFile)
	if err != nil {
		return nil, err
	}
	// Send the CA along, for agents that know only its fingerprint.
	roots, err := s.roots()
	if err != nil {
		return nil, err
	}
	if last := cert.Certificate[len(cert.Certificate)-1]; !bytes.Equal(last, roots[0].Raw) {
		cert.Certificate = append(cert.Certificate, roots[0].Raw)
	}
	cfg.Certificates = []tls.Certificate{cert}
	return cfg, nil
}

// checkedTLS is TLS whose check of the server's certificate is verify. Go's own
// check knows only roots given beforehand, and one name.
type checkedTLS struct {
	credentials.TransportCredentials
	verify func(chain []*x509.Certificate, host string) error
}

func newCheckedTLS(verify func(chain []*x509.Certificate, host string) error) credentials.TransportCredentials {
	return checkedTLS{TransportCredentials: credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS13}), verify: verify}
}

// ClientHandshake connects to a server under the name it was dialled by: a
// connection's own state doesn't tell it when it is an address.
func (c checkedTLS) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	host, _, err := net.SplitHostPort(authority)
	if err != nil {
		host = authority
	}
	cfg := &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // VerifyConnection runs on every connection, resumed ones too
		VerifyConnection: func(cs tls.ConnectionState) error {
			if len(cs.PeerCertificates) == 0 {
				return errors.New("the server sent no certificate")
			}
			return c.verify(cs.PeerCertificates, host)
		},
	}
	return credentials.NewTLS(cfg).ClientHandshake(ctx, authority, raw)
}

// Clone is what gRPC calls before it changes credentials.
func (c checkedTLS) Clone() credentials.TransportCredentials {
	return checkedTLS{TransportCredentials: c.TransportCredentials.Clone(), verify: c.verify}
}

// trust accepts servers whose certificate comes from one of roots.
func trust(roots []*x509.Certificate) credentials.TransportCredentials {
	return newCheckedTLS(func(chain []*x509.Certificate, host string) error {
		if err := verifyChain(chain, host, roots); err != nil {
			return fmt.Errorf("the server's certificate is not one of this installation; has it another cluster key? (%w)", err)
		}
		return nil
	})
}

// verifyChain accepts a certificate that comes from one of roots and carries
// the cluster's name or the name that was dialled.
func verifyChain(chain []*x509.Certificate, host string, roots []*x509.Certificate) error {
	opts := x509.VerifyOptions{DNSName: clusterName, Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool()}
	for _, c := range roots {
		opts.Roots.AddCert(c)
	}
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(opts); err == nil {
		return nil
	}
	opts.DNSName = host // never empty, which would accept any name
	if host == "" {
		return errors.New("the server was dialled without a name")
	}
	_, err := chain[0].Verify(opts)
	return err
}

// fingerprint names a CA by its key, so that renewing its certificate changes nothing.
func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func encodePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func parsePEM(b []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, errors.New("holds no certificate")
	}
	return certs, nil
}
