package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/chatmed/chatmed/internal/config"
)

// acmeTimeout bounds one request to the authority.
const acmeTimeout = 30 * time.Second

// acmeRetry is how soon a certificate that could not be had is asked for again.
// Let's Encrypt allows five failed validations per name and hour.
const acmeRetry = 15 * time.Minute

// acmeCerts gets certificates from an authority by ACME (RFC 8555), over
// HTTP-01 on the redirect listener or TLS-ALPN-01 (RFC 8737) on the HTTPS one.
// Account key and certificates lie in the data directory, readable by its owner
// only, and are renewed when a third of their life, at most 30 days, is left.
//
// Every node asks for itself; behind a balancer, where another node may be
// asked the authority's question, end TLS at the balancer or give files.
type acmeCerts struct {
	manager *autocert.Manager
	hosts   []string
	client  *cuttable
}

func newACME(cfg *config.Config) (*acmeCerts, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if cfg.ACMERoots != "" {
		pem, err := os.ReadFile(cfg.ACMERoots)
		if err != nil {
			return nil, fmt.Errorf("CHATMED_ACME_ROOTS: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, errors.New("CHATMED_ACME_ROOTS holds no certificate: give a PEM file of the authority's roots")
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	a := &acmeCerts{hosts: certifiable(cfg.Hosts()), client: &cuttable{next: transport}}
	a.client.life, a.client.end = context.WithCancel(context.Background())
	a.manager = &autocert.Manager{
		Prompt: autocert.AcceptTOS,
		Cache:  autocert.DirCache(filepath.Join(cfg.DataDir, "acme")),
		Email:  cfg.ACMEEmail,
		Client: &acme.Client{
			DirectoryURL: cfg.ACMEDirectory, UserAgent: "chatmed",
			HTTPClient: &http.Client{Transport: a.client, Timeout: acmeTimeout},
		},
		HostPolicy: func(_ context.Context, host string) error {
			if h, _, err := net.SplitHostPort(host); err == nil {
				host = h
			}
			if !slices.Contains(a.hosts, strings.ToLower(host)) {
				return errors.New("no certificate for this name")
			}
			return nil
		},
	}
	return a, nil
}

// certifiable keeps the names a public authority may certify.
func certifiable(hosts []string) []string {
	return slices.DeleteFunc(slices.Clone(hosts), func(h string) bool {
		return net.ParseIP(h) != nil || !strings.Contains(h, ".")
	})
}

func (a *acmeCerts) tls() *tls.Config { return tlsConfig(a.manager.GetCertificate, acme.ALPNProto) }

func (a *acmeCerts) challenges(next http.Handler) http.Handler { return a.manager.HTTPHandler(next) }

// run asks for each certificate now, so that no visitor waits for it and a
// mistake is in the log at once. The manager renews by itself from then on.
func (a *acmeCerts) run(ctx context.Context, _ <-chan struct{}, log *slog.Logger) {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer a.client.close()
	for _, host := range a.hosts {
		wg.Go(func() {
			for !a.obtain(ctx, host, log) {
				select {
				case <-ctx.Done():
					return
				case <-time.After(acmeRetry):
				}
			}
		})
	}
	<-ctx.Done()
}

// obtain has the manager load or fetch a host's certificate.
func (a *acmeCerts) obtain(ctx context.Context, host string, log *slog.Logger) bool {
	cert, err := a.manager.GetCertificate(&tls.ClientHelloInfo{ // of a modern client
		ServerName: host, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
		SupportedCurves: []tls.CurveID{tls.CurveP256}, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	})
	switch {
	case err == nil:
		log.Info("certificate ready", "host", host, "not_after", cert.Leaf.NotAfter)
	case ctx.Err() == nil:
		log.Error("no certificate: is the name's address this machine, and does port 80 or 443 reach it?",
			"host", host, "retry", acmeRetry.String(), "err", err)
	}
	return err == nil
}

// cuttable is a transport whose requests end with the server: the manager gives
// a renewal ten minutes.
type cuttable struct {
	next *http.Transport
	life context.Context
	end  context.CancelFunc
}

// RoundTrip implements http.RoundTripper.
func (c *cuttable) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	stop := context.AfterFunc(c.life, cancel)
	done := func() {
		stop()
		cancel()
	}
	resp, err := c.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		done()
		return nil, err
	}
	resp.Body = &finite{resp.Body, done}
	return resp, nil
}

func (c *cuttable) close() {
	c.end()
	c.next.CloseIdleConnections()
}

// finite is a body that says when it is closed.
type finite struct {
	io.ReadCloser
	done func()
}

// Close implements io.Closer.
func (f *finite) Close() error {
	defer f.done()
	return f.ReadCloser.Close()
}
