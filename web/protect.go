package web

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// safeHost is what may be written into a header from the request's own Host.
var safeHost = regexp.MustCompile(`^([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?$`)

// protect sets the security headers of a page.
func protect(head http.Header, r *http.Request, ancestors []string) {
	head.Set("Content-Security-Policy", policy(r.Host, ancestors))
	head.Set("X-Content-Type-Options", "nosniff")
	// Our addresses name consultations and go to nobody. That the embedding page
	// names itself to us is decided by that page's own policy, not by this one.
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Permissions-Policy", "camera=(self), microphone=(self), display-capture=(self), "+
		"screen-wake-lock=(self), autoplay=(self), fullscreen=(self), speaker-selection=(self), "+
		"geolocation=(), payment=(), usb=(), serial=(), midi=(), browsing-topics=()")
	head.Set("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
	if len(validOrigins(ancestors)) == 0 {
		head.Set("X-Frame-Options", "DENY")
	}
}

// policy is the content security policy: everything from here, nothing inline,
// nothing from anyone else. Browsers before CSP 3 don't count a WebSocket to the
// same host as 'self', so it is named.
func policy(host string, ancestors []string) string {
	connect := "'self'"
	if safeHost.MatchString(host) {
		connect += " ws://" + host + " wss://" + host
	}
	frame := "'none'"
	if origins := validOrigins(ancestors); len(origins) > 0 {
		frame = strings.Join(origins, " ")
	}
	return strings.Join([]string{
		"default-src 'self'",
		"script-src 'self'",
		"style-src 'self'",
		"img-src 'self'",
		"font-src 'self'",
		"media-src 'self' blob:",
		"connect-src " + connect,
		"object-src 'none'",
		"base-uri 'none'",
		"form-action 'none'",
		"frame-src 'none'",
		"frame-ancestors " + frame,
	}, "; ")
}

// validOrigins keeps what is an origin and nothing more: a stray space or
// semicolon in a stored value must not write policy.
func validOrigins(list []string) []string {
	var out []string
	for _, s := range list {
		u, err := url.Parse(s)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || !safeHost.MatchString(u.Host) {
			continue
		}
		if s == u.Scheme+"://"+u.Host {
			out = append(out, s)
		}
	}
	return out
}

// notBuilt answers for a binary made without the front end.
func notBuilt(w http.ResponseWriter) {
	head := w.Header()
	head.Set("Content-Type", "text/html; charset=utf-8")
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write([]byte(notBuiltPage))
}

const notBuiltPage = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>ChatMed: pages not built</title></head>
<body>
<h1>The pages of this server have not been built</h1>
<p>The API works, but this binary was made without its front end.</p>
<p>In the source folder run <code>make build</code>, or <code>npm ci &amp;&amp; npm run build</code> in <code>web/</code>
and build the binary again.</p>
</body>
</html>
`
