package config

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// secretFile is the generated secret's name in the data directory. Its content
// is text, so that it can be copied into CHATMED_SECRET when the clinic grows
// beyond one node, and means the same there.
const secretFile = "secret"

// storedSecret returns the data directory's secret, generated on first use.
// The server and the command line may start at the same time: whoever links
// the finished file first wins, and both read that one.
func storedSecret(dataDir string) (Secret, error) {
	path := filepath.Join(dataDir, secretFile)
	s, err := readSecret(path)
	if !errors.Is(err, os.ErrNotExist) {
		return s, err
	}
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return "", fmt.Errorf("CHATMED_DATA_DIR: %w: give a directory that this user can write", err)
	}
	if err := writeSecret(path); err != nil && !errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("generate a secret: %w: make the data directory writable, or set CHATMED_SECRET", err)
	}
	return readSecret(path)
}

func readSecret(path string) (Secret, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("secret: %w: make the file readable for this user, or set CHATMED_SECRET", err)
	}
	// Group bits pass: Kubernetes sets them on every file of a volume (fsGroup).
	if info.Mode().Perm()&0o007 != 0 {
		return "", fmt.Errorf("%s is open to every user of this machine: run chmod 600 on it", path)
	}
	raw, err := readBounded(path)
	if err != nil {
		return "", fmt.Errorf("secret: %w: make the file readable for this user, or set CHATMED_SECRET", err)
	}
	text := strings.TrimSpace(string(raw))
	if len(text) < MinSecret {
		return "", fmt.Errorf("%s holds fewer than %d bytes: restore it from a backup, or set CHATMED_SECRET", path, MinSecret)
	}
	return Secret(text), nil
}

// writeSecret makes 32 random bytes durable under path, or fails with
// os.ErrExist when there is one already.
func writeSecret(path string) (err error) {
	b := make([]byte, MinSecret)
	if _, err := rand.Read(b); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".secret-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = f.WriteString(base64.RawURLEncoding.EncodeToString(b) + "\n")
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), path)
}
