// Package config reads the server's configuration: flags, CHATMED_* variables
// and a YAML file of the same names, in that order of precedence, over
// defaults. It is strict: an unknown name or a bad value refuses to start with
// a sentence that says how to mend it. It imports no other package of this
// module.
package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// Config is everything an operator can set, parsed and checked.
type Config struct {
	Addr      string // host:port of the HTTP listener
	AdminAddr string // host:port of metrics and pprof
	// PublicURL is the origin of the API and the pages, RoomURL that of the
	// rooms; both without a trailing slash.
	PublicURL string
	RoomURL   string

	Secret         Secret // at least MinSecret bytes
	SecretPrevious Secret // empty, or at least MinSecret bytes

	DataDir     string
	DatabaseURL string // postgres://…; empty: SQLite in DataDir
	RedisURL    string // empty: in-process
	StorageURL  string // s3://…; empty: DataDir

	UDPPort int // 0: any free port
	// UDPAdvertisedPort is the port clients are told; 0: UDPPort.
	UDPAdvertisedPort int
	NodeIP            netip.Addr // the zero Addr: detect

	TLSDomain string // certificate by ACME
	TLSCert   string // PEM files, both or none
	TLSKey    string
	// Of the certificate authority when TLSDomain is set.
	ACMEDirectory string // URL
	ACMEEmail     string // empty: none is given
	ACMERoots     string // PEM file of what signs the directory's own certificate; empty: the system's
	// HTTPRedirectAddr is host:port of the listener that sends plain HTTP to
	// HTTPS; empty: none.
	HTTPRedirectAddr string

	TrustedProxies []netip.Prefix

	PlansFile string // YAML; empty: the documented plans
	Country   string // of patients of whom nobody says it: ISO 3166-1 alpha-2; empty: not known

	HospitalsFile string // CSV or GeoJSON; empty: the built-in list

	Chat            Provider
	Vision          Provider
	Speech          Provider
	InteractionsURL string

	WaitingGrace time.Duration // a dropped patient keeps the place this long
	EmptyGrace   time.Duration // an active consultation with nobody present ends after this
	ResumeGrace  time.Duration // a dropped participant of a call may resume this long

	MaxParticipants int // of one room

	Retention Retention

	LogLevel  slog.Level
	LogFormat string // FormatText or FormatJSON

	publicDefault, roomDefault bool // no URL was configured
	redirect                   string
}

// Retention is how long what is over is kept; zero is forever.
type Retention struct {
	Consultations time.Duration // with everything that belongs to them
	Chat          time.Duration // messages of calls and of the waiting room
	Tickets       time.Duration // of the waiting room
	Events        time.Duration // delivered ones
}

// The formats of the log.
const (
	FormatText = "text"
	FormatJSON = "json"
)

// Provider is an optional outside engine. An empty URL means the built-in one.
type Provider struct {
	URL   string
	Key   Secret
	Model string
}

// Secret is a value that never prints: formatting, logging and marshalling
// give a placeholder.
type Secret string

const redacted = "[redacted]"

// String implements fmt.Stringer without the value.
func (Secret) String() string { return redacted }

// GoString implements fmt.GoStringer without the value.
func (Secret) GoString() string { return redacted }

// MarshalText implements encoding.TextMarshaler without the value.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements slog.LogValuer without the value.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// Bytes is the value itself.
func (s Secret) Bytes() []byte { return []byte(s) }

// LogValue implements slog.LogValuer with what is safe to show: URLs that may
// hold a password appear only as set or not.
func (c *Config) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("addr", c.Addr), slog.String("admin_addr", c.AdminAddr),
		slog.String("public_url", c.PublicURL), slog.String("room_url", c.RoomURL),
		slog.String("data_dir", c.DataDir), slog.Int("udp_port", c.UDPPort),
		slog.Bool("postgres", c.DatabaseURL != ""), slog.Bool("redis", c.RedisURL != ""),
		slog.Bool("s3", c.StorageURL != ""), slog.Bool("tls", c.TLS()),
	)
}

// Bound tells the configuration which port the listener got, which matters
// when Addr asks for port 0: defaulted URLs then name the real port.
func (c *Config) Bound(port int) {
	if c.publicDefault {
		c.PublicURL = c.defaultURL(strconv.Itoa(port))
	}
	if c.roomDefault {
		c.RoomURL = c.PublicURL
	}
}

// Flags declares every setting on fs, and --config. A subcommand with flags of
// its own shares one FlagSet with it.
func Flags(fs *flag.FlagSet) {
	fs.String("config", "", "YAML file of settings (CHATMED_CONFIG)")
	for _, s := range settings() {
		fs.String(s.flag(), s.def, s.help+" ("+s.env()+")")
	}
}

// Parse reads the command line args and the environment (as os.Environ gives
// it) into a Config. A request for help returns flag.ErrHelp.
func Parse(args, environ []string) (*Config, error) {
	fs := flag.NewFlagSet("chatmed", flag.ContinueOnError)
	Flags(fs)
	if err := ParseFlags(fs, args); err != nil {
		return nil, err
	}
	return Load(fs, environ)
}

// ParseFlags parses args and turns the flag package's complaints into sentences
// that say how to mend them. A request for help returns flag.ErrHelp.
func ParseFlags(fs *flag.FlagSet, args []string) error {
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	err := fs.Parse(args)
	if err == nil {
		if fs.NArg() > 0 {
			return fmt.Errorf("unexpected argument %q: settings are given as --name=value, see --help", fs.Arg(0))
		}
		return nil
	}
	if errors.Is(err, flag.ErrHelp) {
		return flag.ErrHelp
	}
	if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
		var known []string
		fs.VisitAll(func(f *flag.Flag) { known = append(known, f.Name) })
		return fmt.Errorf("unknown flag --%s: %s", name, mend("--", closest(name, known), "see --help for the list"))
	}
	return fmt.Errorf("%w: see --help", err)
}

// Load resolves the settings of a parsed FlagSet that Flags was called on, the
// environment and the file it names. It reports every mistake at once. Only
// when all is well and no secret is configured does it write: the generated
// secret, into the data directory.
func Load(fs *flag.FlagSet, environ []string) (*Config, error) {
	values, err := collect(fs, environ)
	if err != nil {
		return nil, err
	}
	c := &Config{}
	var errs []error
	for _, s := range settings() {
		v, ok := values[s.name]
		if !ok {
			v = value{text: s.def, from: s.env()}
		}
		if err := s.set(c, v.text); err != nil {
			errs = append(errs, s.complain(v, err))
		}
	}
	if len(errs) == 0 {
		errs = c.check()
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	c.deriveURLs()
	c.deriveRedirect()
	if c.Secret == "" {
		if c.Secret, err = storedSecret(c.DataDir); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// check looks at settings that depend on each other; each is well formed.
func (c *Config) check() (errs []error) {
	say := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	errs = c.checkTLS()
	for _, f := range []struct{ env, path, kind string }{
		{"CHATMED_PLANS_FILE", c.PlansFile, "YAML"}, {"CHATMED_HOSPITALS_FILE", c.HospitalsFile, "CSV or GeoJSON"},
	} {
		if f.path == "" {
			continue
		}
		if _, err := os.Stat(f.path); err != nil {
			say("%s: %w: give the path of a %s file that this user can read", f.env, err, f.kind)
		}
	}
	if c.SecretPrevious != "" && c.Secret == "" {
		say("CHATMED_SECRET_PREVIOUS is set without CHATMED_SECRET: set the new secret too, or drop the previous one")
	}
	if c.SecretPrevious != "" && c.SecretPrevious == c.Secret {
		say("CHATMED_SECRET_PREVIOUS equals CHATMED_SECRET: put a new secret into CHATMED_SECRET and the old one into CHATMED_SECRET_PREVIOUS")
	}
	if c.Addr == c.AdminAddr && portOf(c.Addr) != "0" {
		say("CHATMED_ADDR and CHATMED_ADMIN_ADDR are both %s: give the admin listener a port of its own", c.Addr)
	}
	for _, p := range []struct {
		name string
		p    Provider
	}{{"CHAT", c.Chat}, {"VISION", c.Vision}, {"SPEECH", c.Speech}} {
		if p.p.URL == "" && (p.p.Key != "" || p.p.Model != "") {
			say("CHATMED_%s_KEY or CHATMED_%[1]s_MODEL is set without a provider: set CHATMED_%[1]s_URL, or drop them to use the built-in engine", p.name)
		}
	}
	return errs
}

// deriveURLs fills the URLs nobody configured.
func (c *Config) deriveURLs() {
	c.publicDefault, c.roomDefault = c.PublicURL == "", c.RoomURL == ""
	if c.publicDefault {
		c.PublicURL = c.defaultURL(portOf(c.Addr))
	}
	if c.roomDefault {
		c.RoomURL = c.PublicURL
	}
}

func (c *Config) defaultURL(port string) string {
	scheme, host, usual := "http://", "localhost", "80"
	if c.TLS() {
		scheme, usual = "https://", "443"
	}
	if c.TLSDomain != "" {
		host = c.TLSDomain
	}
	if port == usual {
		return scheme + host
	}
	return scheme + net.JoinHostPort(host, port)
}

// portOf is the port of a checked host:port.
func portOf(addr string) string {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	return port
}
