package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MinSecret is the least length of a secret in bytes. RFC 2104 section 3 asks
// for keys no shorter than the hash's output, which is 32 bytes for SHA-256.
const MinSecret = 32

const (
	maxGrace   = 24 * time.Hour
	maxDomain  = 253 // RFC 1035 section 2.3.4, without the root's dot
	maxLabel   = 63
	maxDataDir = 4096
)

// The parsers below write a checked value through their first argument. Their
// errors are the end of a sentence that starts with the setting's name, and
// say how to mend it without repeating the value, which may be secret.

func hostPort(to *string, v string) error {
	host, p, err := net.SplitHostPort(v)
	if err != nil {
		return errors.New("is not host:port; give for instance :8080 or 127.0.0.1:8080")
	}
	if err := port(new(int), p); err != nil {
		return err
	}
	if host != "" && !validHost(host) {
		return errors.New("has a bad host; give an IP address, a host name, or nothing before the colon")
	}
	*to = v
	return nil
}

// off is the word for a listener that is not wanted.
const off = "off"

// optionalHostPort is host:port, off, or nothing for the default.
func optionalHostPort(to *string, v string) error {
	if v == "" || v == off {
		*to = v
		return nil
	}
	if err := hostPort(to, v); err != nil {
		return fmt.Errorf("%w, or %s", err, off)
	}
	return nil
}

// email is one bare address (RFC 5321), or nothing.
func email(to *string, v string) error {
	if v == "" {
		return nil
	}
	a, err := mail.ParseAddress(v)
	if err != nil || a.Address != v {
		return errors.New("is not an e-mail address; give for instance admin@example.org")
	}
	*to = v
	return nil
}

func country(to *string, v string) error {
	if v == "" {
		return nil
	}
	if len(v) != 2 || strings.Trim(v, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return errors.New("is no code of a country; give the two capital letters of ISO 3166-1, such as FR")
	}
	*to = v
	return nil
}

func port(to *int, v string) error {
	n, err := strconv.ParseUint(v, 10, 16)
	if err != nil {
		return errors.New("is not a port; give a number from 0 (any free port) to 65535")
	}
	*to = int(n)
	return nil
}

// optionalPort is a port, or nothing (0) for the default.
func optionalPort(to *int, v string) error {
	if v == "" {
		*to = 0
		return nil
	}
	if port(to, v) != nil || *to == 0 {
		return errors.New("is not a port; give a number from 1 to 65535")
	}
	return nil
}

// count is a whole number within bounds.
func count(to *int, v string, low, high int) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < low || n > high {
		return fmt.Errorf("is not a number of people; give one from %d to %d", low, high)
	}
	*to = n
	return nil
}

// origin is an http(s) URL without path, query, fragment or user: the pages are
// served at its root.
func origin(to *string, v string) error {
	if v == "" {
		return nil
	}
	if err := urlOf(to, v, "http", "https"); err != nil {
		return err
	}
	u, err := url.Parse(v)
	if err != nil || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil {
		return errors.New("is more than an origin; give only scheme, host and port, for instance https://meet.example.org")
	}
	*to = u.Scheme + "://" + u.Host
	return nil
}

// urlOf is an absolute URL of one of the schemes; empty is allowed.
func urlOf(to *string, v string, schemes ...string) error {
	if v == "" {
		return nil
	}
	give := "give one that starts with " + strings.Join(schemes, ":// or ") + "://"
	u, err := url.Parse(v)
	if err != nil { // its text repeats the URL
		return errors.New("is not a URL; " + give)
	}
	if !slices.Contains(schemes, u.Scheme) {
		return errors.New("has the wrong scheme; " + give)
	}
	// PostgreSQL takes several hosts, or a socket directory in the query.
	if slices.Contains(schemes, "postgres") && (strings.Contains(u.Host, ",") || u.Host == "" && u.Query().Has("host")) {
		*to = v
		return nil
	}
	if u.Scheme == "unix" {
		if u.Path == "" {
			return errors.New("has no path; give unix:///path/of/redis.sock")
		}
		*to = v
		return nil
	}
	if !validHost(u.Hostname()) {
		return errors.New("has no usable host; " + give + "host")
	}
	if p := u.Port(); p != "" {
		if n := 0; port(&n, p) != nil || n == 0 {
			return errors.New("has a bad port; give a number from 1 to 65535, or none")
		}
	}
	*to = v
	return nil
}

func validHost(h string) bool {
	if _, err := netip.ParseAddr(h); err == nil {
		return true
	}
	return validName(h)
}

// validName reports whether h is a host name (RFC 1123 section 2.1), or a name
// with underscores as container networks give them.
func validName(h string) bool {
	if h == "" || len(h) > maxDomain {
		return false
	}
	for label := range strings.SplitSeq(h, ".") {
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			ok := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
			if !ok {
				return false
			}
		}
	}
	return true
}

func domain(to *string, v string) error {
	if v == "" {
		return nil
	}
	if _, err := netip.ParseAddr(v); err == nil || !validName(v) || !strings.Contains(v, ".") {
		return errors.New("is not a public host name; give for instance meet.example.org, without scheme or port")
	}
	*to = strings.ToLower(v)
	return nil
}

func secret(to *Secret, v string) error {
	if v != "" && len(v) < MinSecret {
		return fmt.Errorf("is too weak with %d bytes; give at least %d random ones, for instance from: openssl rand -base64 33", len(v), MinSecret)
	}
	*to = Secret(v)
	return nil
}

func dir(to *string, v string) error {
	if v == "" || len(v) > maxDataDir || strings.ContainsRune(v, 0) {
		return errors.New("is not a directory; give the path of one that this user can write")
	}
	*to = v
	return nil
}

func ip(to *netip.Addr, v string) error {
	if v == "" {
		return nil
	}
	a, err := netip.ParseAddr(v)
	if err != nil {
		return errors.New("is not an IP address; give the one that browsers reach this machine at, or nothing to detect it")
	}
	if a = a.Unmap(); a.IsUnspecified() || a.IsMulticast() || a.Zone() != "" {
		return errors.New("is no address media can be sent to; give the one that browsers reach this machine at")
	}
	*to = a
	return nil
}

func prefixes(to *[]netip.Prefix, v string) error {
	for part := range strings.SplitSeq(v, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		p, err := netip.ParsePrefix(part)
		if err != nil {
			a, errAddr := netip.ParseAddr(part)
			if errAddr != nil {
				return errors.New("is not a list of addresses; give for instance 10.0.0.0/8,192.0.2.7")
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		*to = append(*to, p.Masked())
	}
	return nil
}

func duration(to *time.Duration, v string) error {
	d, err := time.ParseDuration(v)
	if err != nil {
		return errors.New("is not a duration; give for instance 90s or 3m")
	}
	if d <= 0 || d > maxGrace {
		return fmt.Errorf("is out of range; give more than 0 and at most %v", maxGrace)
	}
	*to = d
	return nil
}

// forever is an age that is never reached.
const forever = "forever"

// maxAge is a century: beyond it somebody has miscounted.
const maxAge = 100 * 366 * 24 * time.Hour

// age is how long something is kept: days, a duration of at least an hour, or
// forever (zero). Clinical records are not lost to a typing slip: less than an
// hour is refused, and so is a bare number.
func age(to *time.Duration, v string) error {
	if v == forever {
		*to = 0
		return nil
	}
	bad := errors.New("is not an age; give days such as 3650d, a duration of at least 1h, or " + forever)
	var d time.Duration
	if days, ok := strings.CutSuffix(v, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return bad
		}
		d = time.Duration(n) * 24 * time.Hour
	} else if parsed, err := time.ParseDuration(v); err == nil {
		d = parsed
	} else {
		return bad
	}
	if d < time.Hour || d > maxAge {
		return errors.New("is out of range; give at least 1h and at most 36600d, or " + forever)
	}
	*to = d
	return nil
}

func level(to *slog.Level, v string) error {
	if err := oneOf(new(string), strings.ToLower(v), "debug", "info", "warn", "error"); err != nil {
		return err
	}
	return to.UnmarshalText([]byte(v))
}

func oneOf(to *string, v string, allowed ...string) error {
	if !slices.Contains(allowed, v) {
		return errors.New("is not known; give " + strings.Join(allowed, ", "))
	}
	*to = v
	return nil
}
