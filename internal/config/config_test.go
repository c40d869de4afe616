package config

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const strong = "0123456789abcdef0123456789abcdef"

// env is an environment with a secret, so that nothing is written.
func env(more ...string) []string {
	return append([]string{"PATH=/bin", "CHATMED_SECRET=" + strong}, more...)
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	c, err := Parse(nil, env())
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Addr: ":8080", AdminAddr: "127.0.0.1:9090", PublicURL: "http://localhost:8080", RoomURL: "http://localhost:8080",
		Secret: strong, DataDir: "./data", UDPPort: 7882,
		WaitingGrace: 3 * time.Minute, EmptyGrace: 2 * time.Minute, ResumeGrace: time.Minute,
		MaxParticipants: 16, ACMEDirectory: LetsEncrypt, Retention: Retention{Events: 30 * 24 * time.Hour},
		LogLevel: slog.LevelInfo, LogFormat: "text", publicDefault: true, roomDefault: true,
	}
	if fmt.Sprintf("%#v", *c) != fmt.Sprintf("%#v", want) || c.Secret != want.Secret {
		t.Errorf("got  %#v\nwant %#v", *c, want)
	}
}

func TestEverySettingFromEverySource(t *testing.T) {
	pem := write(t, "x.pem", "")
	values := map[string]string{
		"addr": "127.0.0.1:1", "public_url": "https://a.example/", "room_url": "https://b.example:8443",
		"secret": strong + "1", "secret_previous": strong + "2", "data_dir": "/d",
		"database_url": "postgres://u:p@db/chatmed", "redis_url": "rediss://r:6380/1", "udp_port": "443", "udp_advertised_port": "7443",
		"node_ip": "::ffff:192.0.2.1", "storage_url": "s3://bucket/prefix?region=x", "admin_addr": "[::1]:2",
		"tls_cert": pem, "tls_key": pem, "retention_consultations": "3650d", "retention_chat": "1h", "retention_tickets": "36600d", "retention_events": "forever",
		"http_redirect_addr": "127.0.0.1:3", "plans_file": pem, "hospitals_file": pem, "country": "MA",
		"acme_directory": "https://ca.example/dir", "trusted_proxies": "10.1.2.3/8, 2001:db8::1",
		"interactions_url": "https://cds.example/x", "waiting_grace": "1m", "empty_grace": "2s", "resume_grace": "3ms", "max_participants": "40",
		"log_level": "debug", "log_format": "json",
		"chat_url": "http://c:1/v1", "chat_key": "kc", "chat_model": "mc",
		"vision_url": "http://v", "vision_key": "kv", "vision_model": "mv",
		"speech_url": "http://s", "speech_key": "ks", "speech_model": "ms",
	}
	want := Config{
		Addr: "127.0.0.1:1", AdminAddr: "[::1]:2", PublicURL: "https://a.example", RoomURL: "https://b.example:8443",
		Secret: strong + "1", SecretPrevious: strong + "2", DataDir: "/d",
		DatabaseURL: values["database_url"], RedisURL: values["redis_url"], StorageURL: values["storage_url"],
		UDPPort: 443, UDPAdvertisedPort: 7443, NodeIP: netip.MustParseAddr("192.0.2.1"), TLSCert: pem, TLSKey: pem,
		HTTPRedirectAddr: "127.0.0.1:3", redirect: "127.0.0.1:3", PlansFile: pem, HospitalsFile: pem, Country: "MA", ACMEDirectory: "https://ca.example/dir",
		Retention:      Retention{Consultations: 3650 * 24 * time.Hour, Chat: time.Hour, Tickets: 36600 * 24 * time.Hour},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::1/128")},
		Chat:           Provider{"http://c:1/v1", "kc", "mc"}, Vision: Provider{"http://v", "kv", "mv"},
		Speech: Provider{"http://s", "ks", "ms"}, InteractionsURL: "https://cds.example/x",
		WaitingGrace: time.Minute, EmptyGrace: 2 * time.Second, ResumeGrace: 3 * time.Millisecond, MaxParticipants: 40,
		LogLevel: slog.LevelDebug, LogFormat: "json",
	}
	var args, environ, plain, spelled []string
	for _, s := range settings() {
		v, ok := values[s.name]
		if !ok {
			if !slices.Contains([]string{"tls_domain", "acme_email", "acme_roots"}, s.name) { // see TestACME
				t.Errorf("%s is missing in this test", s.name)
			}
			continue
		}
		args = append(args, "--"+s.flag()+"="+v)
		environ = append(environ, s.env()+"="+v)
		plain = append(plain, fmt.Sprintf("%s: %q", s.name, v))
		spelled = append(spelled, fmt.Sprintf("%s: %q", s.env(), v))
	}
	for name, src := range map[string]struct{ args, environ []string }{
		"flags":       {args, nil},
		"environment": {nil, environ},
		"file":        {[]string{"--config", write(t, "c.yaml", strings.Join(plain, "\n"))}, nil},
		"file of variables": {nil, []string{"CHATMED_CONFIG=" +
			write(t, "c.yaml", strings.Join(spelled, "\n"))}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Parse(src.args, src.environ)
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprintf("%#v", *c) != fmt.Sprintf("%#v", want) || c.Secret != want.Secret ||
				c.SecretPrevious != want.SecretPrevious || c.Chat != want.Chat || c.Vision != want.Vision || c.Speech != want.Speech {
				t.Errorf("got  %#v\nwant %#v", *c, want)
			}
		})
	}
}

func TestACME(t *testing.T) {
	pem := write(t, "x.pem", "")
	c, err := Parse(nil, env("CHATMED_TLS_DOMAIN=API.Example.org", "CHATMED_ACME_EMAIL=a@b.example", "CHATMED_ACME_ROOTS="+pem,
		"CHATMED_ROOM_URL=https://meet.example.org"))
	if err != nil {
		t.Fatal(err)
	}
	if c.TLSDomain != "api.example.org" || c.ACMEEmail != "a@b.example" || c.ACMERoots != pem || c.ACMEDirectory != LetsEncrypt {
		t.Errorf("%#v", c)
	}
	if got := c.Hosts(); !slices.Equal(got, []string{"api.example.org", "meet.example.org"}) {
		t.Errorf("hosts: %v", got)
	}
}

func TestRedirectAddress(t *testing.T) {
	pem := write(t, "x.pem", "")
	files := []string{"CHATMED_TLS_CERT=" + pem, "CHATMED_TLS_KEY=" + pem}
	for name, tt := range map[string]struct {
		environ []string
		want    string
	}{
		"no HTTPS":       {nil, ""},
		"files":          {files, ""},
		"files, given":   {append(files, "CHATMED_HTTP_REDIRECT_ADDR=:8081"), ":8081"},
		"domain":         {[]string{"CHATMED_TLS_DOMAIN=a.example"}, ":80"},
		"domain, off":    {[]string{"CHATMED_TLS_DOMAIN=a.example", "CHATMED_HTTP_REDIRECT_ADDR=off"}, ""},
		"no HTTPS, off":  {[]string{"CHATMED_HTTP_REDIRECT_ADDR=off"}, ""},
		"domain, chosen": {[]string{"CHATMED_TLS_DOMAIN=a.example", "CHATMED_HTTP_REDIRECT_ADDR=127.0.0.1:0"}, "127.0.0.1:0"},
	} {
		c, err := Parse(nil, env(tt.environ...))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if c.HTTPRedirectAddr != tt.want {
			t.Errorf("%s: %q, want %q", name, c.HTTPRedirectAddr, tt.want)
		}
	}
}

func TestPrecedence(t *testing.T) {
	file := write(t, "c.yaml", "udp_port: 1\nlog_level: warn\nnode_ip: 192.0.2.1\ntrusted_proxies: [10.0.0.0/8, 192.0.2.7]\nroom_url:\n")
	c, err := Parse([]string{"--config", file, "-udp-port", "3"},
		env("CHATMED_UDP_PORT=2", "CHATMED_LOG_LEVEL=error", "CHATMED_NODE_IP=", "CHATMED_CONFIG=/no/such/file"))
	if err != nil {
		t.Fatal(err)
	}
	if c.UDPPort != 3 || c.LogLevel != slog.LevelError || c.NodeIP.String() != "192.0.2.1" || len(c.TrustedProxies) != 2 {
		t.Errorf("got %#v", c)
	}
}

func TestRefusals(t *testing.T) {
	pem := write(t, "x.pem", "")
	secretish := "hunter2-hunter2"
	file := func(content string) []string { return []string{"--config", write(t, "c.yaml", content)} }
	for name, c := range map[string]struct {
		args, environ []string
		want          []string // each must stand in the error
	}{
		"unknown flag":            {args: []string{"--udp-prot=1"}, want: []string{"--udp-prot", "did you mean --udp-port?"}},
		"flag without value":      {args: []string{"--addr"}, want: []string{"needs an argument", "--help"}},
		"argument":                {args: []string{"serve"}, want: []string{`unexpected argument "serve"`, "--name=value"}},
		"unknown variable":        {environ: env("CHATMED_REDIS_ULR=x"), want: []string{"CHATMED_REDIS_ULR", "did you mean CHATMED_REDIS_URL?"}},
		"unknown empty variable":  {environ: env("CHATMED_NONSENSE="), want: []string{"CHATMED_NONSENSE", "remove it"}},
		"service without cluster": {environ: env("CHATMED_SERVICE_HOST=10.0.0.1"), want: []string{"CHATMED_SERVICE_HOST"}},
		"slip in a cluster":       {environ: env("KUBERNETES_SERVICE_HOST=x", "CHATMED_UPD_PORT=7882"), want: []string{"did you mean CHATMED_UDP_PORT?"}},
		"unknown key":             {args: file("\nadr: :1"), want: []string{"c.yaml:2", `"adr"`, "did you mean addr?"}},
		"key twice":               {args: file("addr: :1\nCHATMED_ADDR: :2"), want: []string{"c.yaml:2", "twice"}},
		"nested key":              {args: file("tls:\n  cert: x"), want: []string{`unknown key "tls"`}},
		"nested value":            {args: file("addr:\n  host: x"), want: []string{"without nesting"}},
		"not a mapping":           {args: file("- addr"), want: []string{"mapping"}},
		"not YAML":                {args: file("addr: ["), want: []string{"is not YAML"}},
		"two documents":           {args: file("addr: :1\n---\naddr: :2"), want: []string{"more than one document"}},
		"no such file":            {args: []string{"--config=/no/such"}, want: []string{"CHATMED_CONFIG", "no such file"}},
		"large file":              {args: file(strings.Repeat("#", maxFile+1)), want: []string{"larger than"}},
		"weak secret":             {environ: []string{"CHATMED_SECRET=" + secretish}, want: []string{"CHATMED_SECRET", "15 bytes", "at least 32", "openssl rand"}},
		"weak previous secret":    {environ: env("CHATMED_SECRET_PREVIOUS=" + secretish), want: []string{"CHATMED_SECRET_PREVIOUS", "weak"}},
		"previous alone":          {environ: []string{"CHATMED_SECRET_PREVIOUS=" + strong}, want: []string{"without CHATMED_SECRET"}},
		"previous equal":          {environ: env("CHATMED_SECRET_PREVIOUS=" + strong), want: []string{"equals"}},
		"address without port":    {environ: env("CHATMED_ADDR=localhost"), want: []string{"CHATMED_ADDR", "host:port"}},
		"address with bad port":   {environ: env("CHATMED_ADDR=:65536"), want: []string{"CHATMED_ADDR", "65535"}},
		"address with bad host":   {environ: env("CHATMED_ADDR=a b:1"), want: []string{"CHATMED_ADDR", "host"}},
		"empty address":           {args: []string{"--addr="}, environ: env(), want: []string{"--addr is not host:port"}},
		"same addresses":          {environ: env("CHATMED_ADDR=127.0.0.1:9090"), want: []string{"CHATMED_ADMIN_ADDR", "of its own"}},
		"public URL scheme":       {environ: env("CHATMED_PUBLIC_URL=ftp://x"), want: []string{"CHATMED_PUBLIC_URL", "http://", "https://"}},
		"public URL with path":    {environ: env("CHATMED_PUBLIC_URL=http://x/y"), want: []string{"CHATMED_PUBLIC_URL", "origin"}},
		"public URL with query":   {environ: env("CHATMED_PUBLIC_URL=http://x?y"), want: []string{"origin"}},
		"public URL with user":    {environ: env("CHATMED_PUBLIC_URL=http://u:p@x"), want: []string{"origin"}},
		"public URL without host": {environ: env("CHATMED_PUBLIC_URL=http://"), want: []string{"host"}},
		"public URL garbage":      {environ: env("CHATMED_PUBLIC_URL=http://%zz"), want: []string{"not a URL"}},
		"room URL port":           {environ: env("CHATMED_ROOM_URL=http://x:70000"), want: []string{"CHATMED_ROOM_URL", "port"}},
		"database URL":            {environ: env("CHATMED_DATABASE_URL=mysql://u:" + secretish + "@h/d"), want: []string{"CHATMED_DATABASE_URL", "postgres://"}},
		"database URL host":       {environ: env("CHATMED_DATABASE_URL=postgres:///d"), want: []string{"CHATMED_DATABASE_URL", "host"}},
		"redis URL":               {environ: env("CHATMED_REDIS_URL=:" + secretish + "@h:1"), want: []string{"CHATMED_REDIS_URL", "redis://"}},
		"redis socket":            {environ: env("CHATMED_REDIS_URL=unix://"), want: []string{"path"}},
		"storage URL":             {environ: env("CHATMED_STORAGE_URL=s3://"), want: []string{"CHATMED_STORAGE_URL", "host"}},
		"UDP port":                {environ: env("CHATMED_UDP_PORT=-1"), want: []string{"CHATMED_UDP_PORT", "65535"}},
		"advertised port":         {environ: env("CHATMED_UDP_ADVERTISED_PORT=0"), want: []string{"CHATMED_UDP_ADVERTISED_PORT", "1 to 65535"}},
		"node IP":                 {environ: env("CHATMED_NODE_IP=example.org"), want: []string{"CHATMED_NODE_IP", "IP address"}},
		"node IP unspecified":     {environ: env("CHATMED_NODE_IP=0.0.0.0"), want: []string{"CHATMED_NODE_IP", "no address"}},
		"TLS certificate alone":   {environ: env("CHATMED_TLS_CERT=" + pem), want: []string{"CHATMED_TLS_KEY"}},
		"TLS key alone":           {environ: env("CHATMED_TLS_KEY=" + pem), want: []string{"CHATMED_TLS_CERT"}},
		"TLS files missing":       {environ: env("CHATMED_TLS_CERT=/no/c", "CHATMED_TLS_KEY=/no/k"), want: []string{"/no/c", "/no/k", "PEM"}},
		"TLS both ways":           {environ: env("CHATMED_TLS_DOMAIN=a.example", "CHATMED_TLS_CERT="+pem, "CHATMED_TLS_KEY="+pem), want: []string{"exclude"}},
		"email alone":             {environ: env("CHATMED_ACME_EMAIL=a@b.example"), want: []string{"CHATMED_TLS_DOMAIN"}},
		"email":                   {environ: env("CHATMED_ACME_EMAIL=Admin <a@b.example>"), want: []string{"CHATMED_ACME_EMAIL", "e-mail"}},
		"ACME roots missing":      {environ: env("CHATMED_TLS_DOMAIN=a.example", "CHATMED_ACME_ROOTS=/no/r"), want: []string{"CHATMED_ACME_ROOTS", "/no/r"}},
		"ACME over plain HTTP":    {environ: env("CHATMED_ACME_DIRECTORY=http://ca.example/dir"), want: []string{"CHATMED_ACME_DIRECTORY", "https://"}},
		"redirect without TLS":    {environ: env("CHATMED_HTTP_REDIRECT_ADDR=:80"), want: []string{"CHATMED_HTTP_REDIRECT_ADDR", "no HTTPS"}},
		"redirect address":        {environ: env("CHATMED_HTTP_REDIRECT_ADDR=on"), want: []string{"CHATMED_HTTP_REDIRECT_ADDR", "host:port", "or off"}},
		"redirect to itself":      {environ: env("CHATMED_TLS_DOMAIN=a.example", "CHATMED_ADDR=:80", "CHATMED_HTTP_REDIRECT_ADDR=:80"), want: []string{"of its own"}},
		"plans file missing":      {environ: env("CHATMED_PLANS_FILE=/no/p"), want: []string{"CHATMED_PLANS_FILE", "/no/p"}},
		"TLS domain":              {environ: env("CHATMED_TLS_DOMAIN=https://a.example"), want: []string{"CHATMED_TLS_DOMAIN", "host name"}},
		"TLS domain is an IP":     {environ: env("CHATMED_TLS_DOMAIN=192.0.2.1"), want: []string{"host name"}},
		"proxies":                 {environ: env("CHATMED_TRUSTED_PROXIES=10.0.0.0/8,nginx"), want: []string{"CHATMED_TRUSTED_PROXIES", "list of addresses"}},
		"provider key alone":      {environ: env("CHATMED_CHAT_KEY=" + secretish), want: []string{"CHATMED_CHAT_URL"}},
		"provider URL":            {environ: env("CHATMED_SPEECH_URL=localhost:1"), want: []string{"CHATMED_SPEECH_URL", "http://"}},
		"grace text":              {environ: env("CHATMED_WAITING_GRACE=3"), want: []string{"CHATMED_WAITING_GRACE", "3m"}},
		"grace zero":              {environ: env("CHATMED_EMPTY_GRACE=0s"), want: []string{"CHATMED_EMPTY_GRACE", "range"}},
		"grace long":              {environ: env("CHATMED_RESUME_GRACE=25h"), want: []string{"CHATMED_RESUME_GRACE", "range"}},
		"age without unit":        {environ: env("CHATMED_RETENTION_CHAT=30"), want: []string{"CHATMED_RETENTION_CHAT", "3650d", "forever"}},
		"age zero":                {environ: env("CHATMED_RETENTION_CHAT=0d"), want: []string{"CHATMED_RETENTION_CHAT", "range"}},
		"age short":               {environ: env("CHATMED_RETENTION_CONSULTATIONS=59m"), want: []string{"CHATMED_RETENTION_CONSULTATIONS", "range"}},
		"age negative":            {environ: env("CHATMED_RETENTION_EVENTS=-1d"), want: []string{"CHATMED_RETENTION_EVENTS", "not an age"}},
		"age long":                {environ: env("CHATMED_RETENTION_TICKETS=36601d"), want: []string{"CHATMED_RETENTION_TICKETS", "range"}},
		"log level":               {environ: env("CHATMED_LOG_LEVEL=loud"), want: []string{"CHATMED_LOG_LEVEL", "debug, info, warn, error"}},
		"log format":              {environ: env("CHATMED_LOG_FORMAT=xml"), want: []string{"CHATMED_LOG_FORMAT", "text, json"}},
		"data directory":          {args: []string{"--data-dir="}, environ: env(), want: []string{"--data-dir", "directory"}},
		"two mistakes":            {environ: env("CHATMED_UDP_PORT=x", "CHATMED_NODE_IP=y"), want: []string{"CHATMED_UDP_PORT", "CHATMED_NODE_IP"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(c.args, c.environ)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not mention %q", err, w)
				}
			}
			if strings.Contains(err.Error(), secretish) {
				t.Errorf("%q repeats a secret", err)
			}
		})
	}
}

func TestAccepted(t *testing.T) {
	for name, extra := range map[string][]string{
		"several database hosts": {"CHATMED_DATABASE_URL=postgres://a,b/chatmed"},
		"database socket":        {"CHATMED_DATABASE_URL=postgresql:///chatmed?host=/run/postgresql"},
		"redis socket":           {"CHATMED_REDIS_URL=unix:///run/redis.sock?db=1"},
		"service links": {"KUBERNETES_SERVICE_HOST=10.0.0.1", "CHATMED_SERVICE_HOST=10.0.0.2", "CHATMED_SERVICE_PORT=80",
			"CHATMED_PORT=tcp://10.0.0.2:80", "CHATMED_REDIS_PORT_6379_TCP_ADDR=10.0.0.3", "CHATMED_REDIS_PORT=tcp://10.0.0.3:6379"},
		"empty variables": {"CHATMED_REDIS_URL=", "CHATMED_UDP_PORT=", "CHATMED_CONFIG="},
		"ports chosen":    {"CHATMED_ADDR=127.0.0.1:0", "CHATMED_ADMIN_ADDR=127.0.0.1:0", "CHATMED_UDP_PORT=0"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse(nil, env(extra...)); err != nil {
				t.Error(err)
			}
		})
	}
	for name, content := range map[string]string{"empty file": "", "comments": "# nothing\n", "null document": "---\n"} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse([]string{"--config", write(t, "c.yaml", content)}, env()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestURLsFollowTheListener(t *testing.T) {
	pem := write(t, "x.pem", "")
	for _, c := range []struct {
		environ      []string
		port         int // as Bound learns it; 0: Bound is not called
		public, room string
	}{
		{env("CHATMED_ADDR=:80"), 0, "http://localhost", "http://localhost"},
		{env("CHATMED_ADDR=:0"), 4711, "http://localhost:4711", "http://localhost:4711"},
		{env("CHATMED_ADDR=:0", "CHATMED_PUBLIC_URL=http://127.0.0.1:5"), 4711, "http://127.0.0.1:5", "http://127.0.0.1:5"},
		{env("CHATMED_ADDR=:0", "CHATMED_ROOM_URL=http://meet.test"), 4711, "http://localhost:4711", "http://meet.test"},
		{env("CHATMED_ADDR=:443", "CHATMED_TLS_DOMAIN=Meet.Example.org"), 443, "https://meet.example.org", "https://meet.example.org"},
		{env("CHATMED_TLS_CERT="+pem, "CHATMED_TLS_KEY="+pem), 0, "https://localhost:8080", "https://localhost:8080"},
	} {
		got, err := Parse(nil, c.environ)
		if err != nil {
			t.Fatal(err)
		}
		if c.port != 0 {
			got.Bound(c.port)
		}
		if got.PublicURL != c.public || got.RoomURL != c.room {
			t.Errorf("%v: got %s and %s, want %s and %s", c.environ[2:], got.PublicURL, got.RoomURL, c.public, c.room)
		}
	}
}

func TestSecretIsGeneratedOnceAndKept(t *testing.T) {
	dataDir := filepath.Join(t.TempDir(), "data")
	got := make([]Secret, 8)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			c, err := Parse([]string{"--data-dir", dataDir}, nil)
			if err != nil {
				t.Error(err)
				return
			}
			got[i] = c.Secret
		})
	}
	wg.Wait()
	if len(slices.Compact(got)) != 1 || len(got[0]) < MinSecret {
		t.Fatalf("%d secrets of %d bytes", len(slices.Compact(got)), len(got[0]))
	}
	info, err := os.Stat(filepath.Join(dataDir, secretFile))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	entries, err := os.ReadDir(dataDir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("%d files are left behind", len(entries)-1)
	}
}

func TestBadStoredSecretsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		want    string
	}{
		"short": {"abc", 0o600, "backup"},
		"open":  {strong, 0o604, "chmod 600"},
	} {
		t.Run(name, func(t *testing.T) {
			dataDir := t.TempDir()
			path := filepath.Join(dataDir, secretFile)
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			if _, err := Parse([]string{"--data-dir", dataDir}, nil); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestABadConfigurationWritesNothing(t *testing.T) {
	dataDir := filepath.Join(t.TempDir(), "data")
	if _, err := Parse([]string{"--data-dir", dataDir, "--udp-port=x"}, nil); err == nil {
		t.Fatal("accepted")
	}
	if _, err := os.Stat(dataDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data directory exists: %v", err)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	c, err := Parse(nil, env("CHATMED_CHAT_URL=http://x", "CHATMED_CHAT_KEY=chat-secret", "CHATMED_DATABASE_URL=postgres://u:db-secret@h/d"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	log := slog.New(slog.NewTextHandler(&b, nil))
	log.Info("start", "config", c, "s", c.Secret)
	js, err := json.Marshal(c.Chat)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "%v %+v %s %#v %s", c.Secret, c.Chat, c.Secret, c.Chat, js)
	for _, s := range []string{strong, "chat-secret", "db-secret"} {
		if strings.Contains(b.String(), s) {
			t.Errorf("%q is in %s", s, b.String())
		}
	}
}

func TestUsageNamesEverySetting(t *testing.T) {
	u := Usage()
	for _, s := range settings() {
		if !strings.Contains(u, "--"+s.flag()+"\n") || s.help == "" {
			t.Errorf("%s is not explained", s.name)
		}
	}
	if _, err := Parse([]string{"--help"}, env()); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v", err)
	}
}

func TestSubcommandsAddFlagsOfTheirOwn(t *testing.T) {
	fs := flag.NewFlagSet("keys create", flag.ContinueOnError)
	name := fs.String("name", "", "")
	Flags(fs)
	if err := ParseFlags(fs, []string{"--name", "Clinic", "--udp-port=1"}); err != nil {
		t.Fatal(err)
	}
	c, err := Load(fs, env())
	if err != nil {
		t.Fatal(err)
	}
	if *name != "Clinic" || c.UDPPort != 1 {
		t.Errorf("got %q, %d", *name, c.UDPPort)
	}
}
