package web

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// safeHost is what may be written into a header from the request's own Host.
var safeHost = regexp.MustCompile(`^([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?$`)

// access is what one page may do beyond showing itself. Whoever adds a page says
// here what it needs; without a line it may do nothing.
type access struct {
	socket  bool // talks to the server
	devices bool // camera, microphone, screen
	sound   bool // plays
	framed  bool // may stand in a page of the account's origins
}

var pageAccess = map[string]access{
	startPage: {},
	roomPage:  {socket: true, devices: true, sound: true, framed: true},
	// The doctor's list shows every patient: it is never embedded.
	deskPage: {socket: true, sound: true},
}

// protect sets the security headers of a page. ancestors are the origins that
// may embed it.
func protect(head http.Header, r *http.Request, may access, ancestors []string) {
	if !may.framed {
		ancestors = nil
	}
	ancestors = validOrigins(ancestors)
	head.Set("Content-Security-Policy", policy(r, may, ancestors))
	head.Set("X-Content-Type-Options", "nosniff")
	// Our addresses name consultations and go to nobody. That the embedding page
	// names itself to us is decided by that page's own policy, not by this one.
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Permissions-Policy", permissions(may))
	// A page that opens the room in a window of its own may keep its handle when
	// it is one of those that may embed it.
	if len(ancestors) > 0 {
		head.Set("Cross-Origin-Opener-Policy", "unsafe-none")
		head.Set("Cross-Origin-Resource-Policy", "cross-origin")
		return
	}
	head.Set("Cross-Origin-Opener-Policy", "same-origin")
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	// It knows no list of origins, so where there is one it would contradict
	// frame-ancestors in old browsers.
	head.Set("X-Frame-Options", "DENY")
}

// inert sets the security headers of an answer that is no page of ours.
func inert(head http.Header) {
	head.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	head.Set("X-Frame-Options", "DENY")
}

// features are what a browser may offer a page, and whether ours use it. The
// embedding page has to delegate them too (the iframe's allow attribute).
var features = []struct {
	name string
	used func(access) bool
}{
	{"camera", func(a access) bool { return a.devices }},
	{"microphone", func(a access) bool { return a.devices }},
	{"display-capture", func(a access) bool { return a.devices }},
	{"speaker-selection", func(a access) bool { return a.devices }},
	{"screen-wake-lock", func(a access) bool { return a.devices }},
	{"fullscreen", func(a access) bool { return a.devices }},
	{"picture-in-picture", func(a access) bool { return a.devices }},
	{"autoplay", func(a access) bool { return a.sound }},
	{"accelerometer", nil}, {"bluetooth", nil}, {"browsing-topics", nil}, {"clipboard-read", nil},
	{"geolocation", nil}, {"gyroscope", nil}, {"hid", nil}, {"idle-detection", nil}, {"magnetometer", nil},
	{"midi", nil}, {"payment", nil}, {"publickey-credentials-get", nil}, {"serial", nil}, {"usb", nil}, {"xr-spatial-tracking", nil},
}

// permissions is the Permissions-Policy of a page.
func permissions(may access) string {
	list := make([]string, len(features))
	for i, f := range features {
		list[i] = f.name + "=()"
		if f.used != nil && f.used(may) {
			list[i] = f.name + "=(self)"
		}
	}
	return strings.Join(list, ", ")
}

// policy is the content security policy of a page: scripts, styles, pictures and
// fonts of this origin, nothing inline, nothing evaluated, nothing from anyone
// else. Browsers before CSP 3 don't count a WebSocket to the same host as 'self',
// so it is named. What a page plays are live streams, which are no media-src.
func policy(r *http.Request, may access, ancestors []string) string {
	connect := "'none'"
	if may.socket {
		connect = "'self'"
		if safeHost.MatchString(r.Host) {
			connect += " " + socketScheme(r) + "://" + r.Host
		}
	}
	frame := "'none'"
	if len(ancestors) > 0 {
		frame = strings.Join(ancestors, " ")
	}
	return strings.Join([]string{
		"default-src 'none'",
		"script-src 'self'",
		"style-src 'self'",
		"img-src 'self'",
		"font-src 'self'",
		"connect-src " + connect,
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors " + frame,
	}, "; ")
}

// socketScheme is wss for a page that came over TLS. X-Forwarded-Proto is a
// trusted proxy's word: the server removes anybody else's.
func socketScheme(r *http.Request) string {
	proto := r.Header.Get("X-Forwarded-Proto")
	if r.TLS != nil || strings.EqualFold(strings.TrimSpace(proto[strings.LastIndexByte(proto, ',')+1:]), "https") {
		return "wss"
	}
	return "ws"
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
	inert(head)
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
