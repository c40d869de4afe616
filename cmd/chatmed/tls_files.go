package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

const (
	// certPoll is how often the files are looked at. Renewal tools and Kubernetes
	// replace them without telling anybody.
	certPoll = 10 * time.Second
	// certWarning is how long before its end a certificate is complained about.
	certWarning = 14 * 24 * time.Hour
)

// certFiles is a certificate from two PEM files.
type certFiles struct {
	cert, key string
	current   atomic.Pointer[tls.Certificate]
	poll      time.Duration

	// Owned by run.
	sum [sha256.Size]byte // of both files as last looked at
}

func newCertFiles(cert, key string) (*certFiles, error) {
	f := &certFiles{cert: cert, key: key, poll: certPoll}
	if _, err := f.load(); err != nil {
		return nil, fmt.Errorf("certificate: %w: give CHATMED_TLS_CERT and CHATMED_TLS_KEY the PEM files of a chain and of its key", err)
	}
	return f, nil
}

func (f *certFiles) tls() *tls.Config {
	return tlsConfig(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.current.Load(), nil })
}

func (f *certFiles) challenges(next http.Handler) http.Handler { return next }

// load reads the files if they have changed since the last look. A pair that
// does not fit (half replaced) is an error and changes nothing.
func (f *certFiles) load() (changed bool, err error) {
	cert, err := os.ReadFile(f.cert)
	key, errKey := os.ReadFile(f.key)
	if err := errors.Join(err, errKey); err != nil {
		return false, err
	}
	sum := sha256.Sum256(bytes.Join([][]byte{cert, key}, []byte{0}))
	if sum == f.sum {
		return false, nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return false, err
	}
	f.sum = sum
	f.current.Store(&pair)
	return true, nil
}

func (f *certFiles) run(ctx context.Context, reload <-chan struct{}, log *slog.Logger) {
	t := time.NewTicker(f.poll)
	defer t.Stop()
	complaint := ""
	f.announce(log)
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-reload:
		}
		changed, err := f.load()
		switch {
		case err != nil && err.Error() != complaint:
			log.Error("the new certificate cannot be used, the old one stays", "err", err)
			complaint = err.Error()
		case changed:
			f.announce(log)
			complaint = ""
		}
	}
}

// announce logs which certificate is served and warns of its end.
func (f *certFiles) announce(log *slog.Logger) {
	leaf := f.current.Load().Leaf
	level, text := slog.LevelInfo, "certificate loaded"
	if time.Until(leaf.NotAfter) < certWarning {
		level, text = slog.LevelWarn, "certificate loaded, but it ends soon: replace the files"
	}
	log.Log(context.Background(), level, text, "names", leaf.DNSNames, "not_after", leaf.NotAfter)
}
