package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// pebble is Let's Encrypt's test authority, which really asks its questions.
type pebble struct {
	t         *testing.T
	directory string
	roots     string // PEM file of what signs the directory's own certificate
	manage    string
	plain     *http.Client
}

// startPebble runs it with a DNS server that gives 127.0.0.1 for every name. It
// asks HTTP-01 at port and TLS-ALPN-01 at tlsPort.
func startPebble(t *testing.T, httpAddr, tlsAddr string) *pebble {
	t.Helper()
	dir, own := t.TempDir(), selfSigned(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "localhost")
	cert, key := own.write(t, dir)
	listen, manage, dns, dnsManage := freeAddr(t), freeAddr(t), freeAddr(t), freeAddr(t)
	port := func(addr string) int {
		_, p, err := net.SplitHostPort(addr)
		must(t, err)
		n, err := strconv.Atoi(p)
		must(t, err)
		return n
	}
	cfg, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": manage, "certificate": cert, "privateKey": key,
		"httpPort": port(httpAddr), "tlsPort": port(tlsAddr),
	}})
	must(t, err)
	path := filepath.Join(dir, "pebble.json")
	must(t, os.WriteFile(path, cfg, 0o600))
	background(t, "pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", dns,
		"-management", dnsManage, "-http01", "", "-https01", "", "-tlsalpn01", "")
	background(t, "pebble", "-config", path, "-dnsserver", dns)
	p := &pebble{t: t, directory: "https://" + listen + "/dir", roots: cert, manage: "https://" + manage, plain: own.client(t, "", nil)}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(own.cert)
	p.plain = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}}
	eventually(t, "pebble answers", func() bool {
		resp, err := p.plain.Get(p.directory)
		return err == nil && resp.Body.Close() == nil
	})
	return p
}

// background runs a program until the end of the test.
func background(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_AUTHZREUSE=0")
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: deploy/install-tools.sh installs it", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
}

// trust is a pool of the root that the authority signs with, new at each start.
func (p *pebble) trust() *x509.CertPool {
	p.t.Helper()
	resp, err := p.plain.Get(p.manage + "/roots/0")
	must(p.t, err)
	raw, err := io.ReadAll(resp.Body)
	must(p.t, err)
	must(p.t, resp.Body.Close())
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(raw) {
		p.t.Fatal("no root")
	}
	return pool
}

// handshake is a visitor's, who trusts the authority; nil when it fails.
func handshake(t *testing.T, addr string, roots *x509.CertPool) *x509.Certificate {
	t.Helper()
	d := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: meet, MinVersion: tls.VersionTLS12}}
	c, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		return nil
	}
	defer func() { _ = c.Close() }()
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0]
}

func TestACME(t *testing.T) {
	for _, challenge := range []string{"http-01", "tls-alpn-01"} {
		t.Run(challenge, func(t *testing.T) {
			addr, plain := freeAddr(t), freeAddr(t)
			p := startPebble(t, plain, addr)
			env := []string{
				"CHATMED_ADDR=" + addr, "CHATMED_TLS_DOMAIN=" + meet, "CHATMED_ACME_DIRECTORY=" + p.directory, "CHATMED_ACME_ROOTS=" + p.roots,
				"CHATMED_ACME_EMAIL=admin@example.test", "CHATMED_HTTP_REDIRECT_ADDR=" + plain, "CHATMED_LOG_LEVEL=error",
			}
			if challenge == "tls-alpn-01" {
				env = append(env, "CHATMED_HTTP_REDIRECT_ADDR=off")
			}
			srv := newServer(t, env...)
			cache := filepath.Join(srv.cfg.DataDir, "acme")
			// Without a visitor: the server asks by itself.
			eventually(t, "a certificate in the data directory", func() bool {
				_, err := os.Stat(filepath.Join(cache, meet))
				return err == nil
			})
			roots := p.trust()
			leaf := handshake(t, addr, roots)
			if leaf == nil || leaf.VerifyHostname(meet) != nil {
				t.Fatalf("no trusted certificate: %v", leaf)
			}
			must(t, filepath.WalkDir(cache, func(path string, d fs.DirEntry, err error) error {
				must(t, err)
				info, err := d.Info()
				must(t, err)
				if info.Mode().Perm()&0o077 != 0 {
					t.Errorf("%s can be read by others: %v", path, info.Mode())
				}
				return nil
			}))
			if _, err := tlsDial(t, addr, "other.example.test"); err == nil {
				t.Error("a certificate for a name that is not ours")
			}
			if challenge == "http-01" {
				c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
				resp := fetch(t, c, "http://"+plain+"/doctor?x=1")
				if resp.StatusCode != http.StatusPermanentRedirect || resp.Header.Get("Location") != srv.cfg.PublicURL+"/doctor?x=1" {
					t.Errorf("%s to %q", resp.Status, resp.Header.Get("Location"))
				}
			}
			// A restart takes the certificate from the data directory.
			srv.restart()
			if again := handshake(t, addr, roots); again == nil || !again.Equal(leaf) {
				t.Error("another certificate after a restart")
			}
			// One that ends soon is served, and replaced while the server runs.
			srv.halt()
			old := selfSigned(t, time.Now().Add(-89*24*time.Hour), time.Now().Add(24*time.Hour), meet)
			must(t, os.WriteFile(filepath.Join(cache, meet), append(sec1(t, old.key), old.cert...), 0o600))
			srv.run(time.Now)
			eventually(t, "the renewed certificate", func() bool {
				renewed := handshake(t, addr, roots)
				return renewed != nil && !renewed.Equal(leaf) && time.Until(renewed.NotAfter) > 30*24*time.Hour
			})
		})
	}
}

// tlsDial is a handshake that checks nothing.
func tlsDial(t *testing.T, addr, name string) (*x509.Certificate, error) {
	t.Helper()
	d := tls.Dialer{Config: &tls.Config{ServerName: name, InsecureSkipVerify: true}} //nolint:gosec // the name is what is tested
	c, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// sec1 is the form of key that the cache holds.
func sec1(t *testing.T, pkcs8 []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(pkcs8)
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: block.Bytes})
}
