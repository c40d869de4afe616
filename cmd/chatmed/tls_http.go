package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/chatmed/chatmed/internal/config"
)

// hsts is one year without subdomains, which are not ours to decide about (RFC
// 6797 section 6.1).
const hsts = "max-age=31536000"

// redirect sends plain HTTP to HTTPS with 308, which keeps method and body. The
// target is always one of this server's own origins: a foreign Host goes to the
// public one. Path and query stay as they came.
func redirect(cfg *config.Config) http.Handler {
	targets := map[string]string{}
	if cfg.TLSDomain != "" {
		targets[cfg.TLSDomain] = "https://" + cfg.TLSDomain + portSuffix(cfg.PublicURL)
	}
	fallback := ""
	for _, raw := range []string{cfg.RoomURL, cfg.PublicURL} { // the public one wins
		if u, err := url.Parse(raw); err == nil && u.Scheme == "https" {
			targets[strings.ToLower(u.Hostname())] = raw
			fallback = raw
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		target, ok := targets[hostname(r.Host)]
		if !ok {
			target = fallback
		}
		if target == "" || !strings.HasPrefix(r.URL.Path, "/") {
			http.Error(w, "This server answers over HTTPS only.", http.StatusBadRequest)
			return
		}
		where := target + r.URL.EscapedPath()
		if r.URL.RawQuery != "" {
			where += "?" + r.URL.RawQuery
		}
		w.Header().Set("Location", where)
		w.WriteHeader(http.StatusPermanentRedirect)
	})
}

// portSuffix is ":port" of a URL that names one.
func portSuffix(raw string) string {
	if u, err := url.Parse(raw); err == nil && u.Port() != "" {
		return ":" + u.Port()
	}
	return ""
}

// hostname is a Host header's name in lower case, without port and root dot.
func hostname(host string) string {
	u := url.URL{Host: host}
	return strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
}

// forwarded are the headers in which a proxy tells what it was asked.
var forwarded = []string{"X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "Forwarded"}

// secured knows whether a request came over TLS, by itself or from a trusted
// proxy, and acts on it: HSTS over TLS only, and what a trusted proxy took over
// plain HTTP is redirected when the public URL is HTTPS. Anybody else's word
// about the request is removed, so that what stands behind may believe it.
func secured(cfg *config.Config, next http.Handler) http.Handler {
	plain := redirect(cfg)
	public := strings.HasPrefix(cfg.PublicURL, "https://")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		over := r.TLS != nil
		if trusted(cfg.TrustedProxies, r.RemoteAddr) {
			switch proto := lastValue(r.Header["X-Forwarded-Proto"]); {
			case strings.EqualFold(proto, "https"):
				over = true
			case strings.EqualFold(proto, "http") && public && !over && !probe(r.URL.Path):
				plain.ServeHTTP(w, r)
				return
			}
		} else {
			for _, name := range forwarded {
				r.Header.Del(name)
			}
		}
		if over {
			w.Header().Set("Strict-Transport-Security", hsts)
		}
		next.ServeHTTP(w, r)
	})
}

// handshakeError is how net/http begins its line about a failed handshake.
const handshakeError = "http: TLS handshake error from "

// serverLog takes what net/http complains of. Failed handshakes are daily bread
// on the open net, and name the visitor's address, so they are told in debug and
// without it.
type serverLog struct{ slog.Handler }

// Handle implements slog.Handler.
func (h serverLog) Handle(ctx context.Context, r slog.Record) error {
	rest, ok := strings.CutPrefix(r.Message, handshakeError)
	if !ok {
		return h.Handler.Handle(ctx, r)
	}
	if !h.Enabled(ctx, slog.LevelDebug) {
		return nil
	}
	_, why, _ := strings.Cut(rest, ": ") // after address and port
	quiet := slog.NewRecord(r.Time, slog.LevelDebug, "TLS handshake failed", 0)
	quiet.AddAttrs(slog.String("err", why))
	return h.Handler.Handle(ctx, quiet)
}

// probe reports whether a path is for the proxy's own questions.
func probe(path string) bool { return path == "/healthz" || path == "/readyz" }

// trusted reports whether the peer is one of the proxies.
func trusted(proxies []netip.Prefix, remote string) bool {
	if len(proxies) == 0 {
		return false
	}
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	addr := peer.Addr().Unmap().WithZone("")
	for _, p := range proxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// lastValue is the last of a list field: what the nearest proxy says.
func lastValue(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	list := lines[len(lines)-1]
	return strings.TrimSpace(list[strings.LastIndexByte(list, ',')+1:])
}
