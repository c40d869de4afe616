package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"

	"github.com/chatmed/chatmed/internal/config"
)

// certificates are where this server's certificate comes from.
type certificates interface {
	// tls is the configuration of the HTTPS listener.
	tls() *tls.Config
	// challenges answers the authority's questions over plain HTTP, and leaves
	// every other request to next.
	challenges(next http.Handler) http.Handler
	// run keeps the certificate fresh until ctx ends. reload asks for it at once.
	run(ctx context.Context, reload <-chan struct{}, log *slog.Logger)
}

// newCertificates returns nil when this server does not end TLS.
func newCertificates(cfg *config.Config) (certificates, error) {
	switch {
	case cfg.TLSDomain != "":
		return newACME(cfg)
	case cfg.TLSCert != "":
		return newCertFiles(cfg.TLSCert, cfg.TLSKey)
	}
	return nil, nil
}

// tlsConfig is Mozilla's intermediate profile, and nothing below: TLS 1.2 with
// forward secrecy and authenticated encryption, or TLS 1.3. Key exchanges are
// Go's own, post-quantum first.
func tlsConfig(get func(*tls.ClientHelloInfo) (*tls.Certificate, error), protos ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{ // of TLS 1.2; those of 1.3 are all sound
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
			tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		NextProtos:     append([]string{"h2", "http/1.1"}, protos...),
		GetCertificate: get,
	}
}
