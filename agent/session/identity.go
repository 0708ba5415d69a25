package session

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/proto"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Names of the files in the data directory.
const (
	idFile         = "agent_id"
	credentialFile = "credential"
	planFile       = "plan.pb"
)

// State is what the agent keeps of its relation to register: who it is, what
// proves it, and the plan it was given last.
type State struct {
	dir        string
	id         string
	credential string
	plan       *pharosv1.Plan
}

// OpenState reads the state in dir; an agent without id gets a new one. A plan
// that can't be read is left out, since register sends a new one.
func OpenState(dir string) (*State, error) {
	s := &State{dir: dir}
	var err error
	if s.id, err = s.read(idFile); err != nil {
		return nil, err
	}
	if s.id == "" {
		b := make([]byte, 15)
		rand.Read(b) // never fails
		s.id = "agt_" + strings.ToLower(base32.StdEncoding.EncodeToString(b))
		if err := s.write(idFile, []byte(s.id+"\n"), 0o640); err != nil {
			return nil, err
		}
	}
	if s.credential, err = s.read(credentialFile); err != nil {
		return nil, err
	}
	if b, err := os.ReadFile(filepath.Join(dir, planFile)); err == nil {
		plan := &pharosv1.Plan{}
		if proto.Unmarshal(b, plan) == nil {
			s.plan = plan
		}
	}
	return s, nil
}

// ID of the agent, chosen at its first start.
func (s *State) ID() string { return s.id }

// Plan is the last one that was stored, nil if there is none.
func (s *State) Plan() *pharosv1.Plan { return s.plan }

func (s *State) setCredential(c string) error {
	s.credential = c
	return s.write(credentialFile, []byte(c+"\n"), 0o600)
}

func (s *State) setPlan(p *pharosv1.Plan) error {
	s.plan = p
	b, err := proto.Marshal(p)
	if err != nil {
		return fmt.Errorf("cannot encode plan: %w", err)
	}
	return s.write(planFile, b, 0o600)
}

// read returns a file's text, empty if there is none.
func (s *State) read(name string) (string, error) {
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("cannot read agent state: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// write replaces a file whole or not at all.
func (s *State) write(name string, content []byte, mode fs.FileMode) error {
	err := s.replace(name, content, mode)
	if err != nil {
		return fmt.Errorf("cannot keep agent state: %w", err)
	}
	return nil
}

func (s *State) replace(name string, content []byte, mode fs.FileMode) error {
	tmp, err := os.CreateTemp(s.dir, "."+name+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(content)
	if err := errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), filepath.Join(s.dir, name)); err != nil {
		return err
	}
	dir, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
