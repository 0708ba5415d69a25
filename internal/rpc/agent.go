package rpc

import (
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// Agent is how an agent knows the servers it dials. It proves itself in its
// streams, so nothing secret is here.
type Agent struct {
	// CAFingerprint from the join token; checked until a CA is stored.
	CAFingerprint string
	// StoredCA is the file that keeps the CA that was accepted first; from then
	// on only servers of that CA are accepted. Required with TLS unless CAFile is set.
	StoredCA string
	// CAFile holds the CAs (PEM) to accept, instead of a fingerprint.
	CAFile string
	// Insecure turns TLS off.
	Insecure bool
}

// AgentClientOptions returns what an agent needs to dial register and vessels.
func AgentClientOptions(a Agent) ([]grpc.DialOption, error) {
	creds := insecure.NewCredentials()
	if !a.Insecure {
		checked, err := a.credentials()
		if err != nil {
			return nil, fmt.Errorf("cannot set up TLS for the agent: %w", err)
		}
		creds = checked
	}
	return append(clientBasics(), grpc.WithTransportCredentials(creds)), nil
}

func (a Agent) credentials() (credentials.TransportCredentials, error) {
	file := a.CAFile
	if file == "" {
		file = a.StoredCA
	}
	b, err := os.ReadFile(file)
	switch {
	case err == nil:
		roots, err := parsePEM(b)
		if err != nil {
			return nil, fmt.Errorf("CA file %q: %w", file, err)
		}
		return trust(roots), nil
	case a.CAFile != "" || !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case a.CAFingerprint == "":
		return nil, errors.New("nothing says which servers to trust: give a join token with a fingerprint, or a CA file, or allow plaintext")
	}
	p := &pin{fingerprint: a.CAFingerprint, file: a.StoredCA}
	return newCheckedTLS(p.verify), nil
}

// pin accepts the CA with the fingerprint, once, and stores it.
type pin struct {
	fingerprint, file string
	mu                sync.Mutex
	stored            bool
}

func (p *pin) verify(chain []*x509.Certificate, host string) error {
	for _, c := range chain {
		if subtle.ConstantTimeCompare([]byte(fingerprint(c)), []byte(p.fingerprint)) != 1 || !c.IsCA {
			continue
		}
		if err := verifyChain(chain, host, []*x509.Certificate{c}); err != nil {
			return err
		}
		return p.store(c)
	}
	return errors.New("the server's certificate is not from the CA in the join token: wrong address, wrong token, or somebody in between")
}

func (p *pin) store(c *x509.Certificate) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stored || p.file == "" {
		return nil
	}
	tmp, err := os.CreateTemp(filepath.Dir(p.file), ".ca-*")
	if err != nil {
		return fmt.Errorf("cannot store CA: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, werr := tmp.Write(encodePEM(c))
	if err := errors.Join(werr, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("cannot store CA: %w", err)
	}
	if err := os.Rename(tmp.Name(), p.file); err != nil {
		return fmt.Errorf("cannot store CA: %w", err)
	}
	p.stored = true
	return nil
}
