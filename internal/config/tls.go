package config

import (
	"fmt"
	"net/url"
	"os"
	"slices"
)

// LetsEncrypt is the directory of the authority that is asked by default.
const LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// TLS reports whether this server ends TLS itself.
func (c *Config) TLS() bool { return c.TLSDomain != "" || c.TLSCert != "" }

// checkTLS looks at the settings of HTTPS together.
func (c *Config) checkTLS() (errs []error) {
	say := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch {
	case c.TLSDomain != "" && (c.TLSCert != "" || c.TLSKey != ""):
		say("CHATMED_TLS_DOMAIN and CHATMED_TLS_CERT exclude each other: keep the domain for a certificate by ACME, or the files for your own")
	case c.TLSCert != "" && c.TLSKey == "":
		say("CHATMED_TLS_CERT is set without its key: set CHATMED_TLS_KEY to the PEM file of the private key")
	case c.TLSKey != "" && c.TLSCert == "":
		say("CHATMED_TLS_KEY is set without a certificate: set CHATMED_TLS_CERT to the PEM file of the certificate chain")
	}
	for _, f := range []struct{ env, path string }{
		{"CHATMED_TLS_CERT", c.TLSCert}, {"CHATMED_TLS_KEY", c.TLSKey}, {"CHATMED_ACME_ROOTS", c.ACMERoots},
	} {
		if f.path == "" {
			continue
		}
		if _, err := os.Stat(f.path); err != nil {
			say("%s: %w: give the path of a PEM file that this user can read", f.env, err)
		}
	}
	if c.TLSDomain == "" && (c.ACMEEmail != "" || c.ACMERoots != "") {
		say("CHATMED_ACME_EMAIL or CHATMED_ACME_ROOTS is set, but no certificate is asked for: set CHATMED_TLS_DOMAIN, or drop them")
	}
	if !c.TLS() && c.redirect != "" && c.redirect != off {
		say("CHATMED_HTTP_REDIRECT_ADDR is set, but this server has no HTTPS: set CHATMED_TLS_DOMAIN, or CHATMED_TLS_CERT and CHATMED_TLS_KEY, or drop it")
	}
	if portOf(c.redirect) != "0" && (c.redirect == c.Addr || c.redirect == c.AdminAddr) {
		say("CHATMED_HTTP_REDIRECT_ADDR is %s, which is another listener's: give it an address of its own", c.redirect)
	}
	return errs
}

// deriveRedirect fills in where plain HTTP is answered.
func (c *Config) deriveRedirect() {
	switch c.redirect {
	case off:
	case "":
		if c.TLSDomain != "" {
			c.HTTPRedirectAddr = ":80"
		}
	default:
		c.HTTPRedirectAddr = c.redirect
	}
}

// Hosts are the names this server is reached by: those of its URLs and of its
// certificate, without ports.
func (c *Config) Hosts() []string {
	var out []string
	for _, raw := range []string{c.PublicURL, c.RoomURL} {
		if u, err := url.Parse(raw); err == nil && u.Hostname() != "" {
			out = append(out, u.Hostname())
		}
	}
	if c.TLSDomain != "" {
		out = append(out, c.TLSDomain)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
