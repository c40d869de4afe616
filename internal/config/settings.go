package config

import "strings"

const (
	prefix    = "CHATMED_"
	configEnv = "CHATMED_CONFIG"
)

// setting is one line of the table below: its name in the YAML file, from
// which the flag (dashes) and the variable (CHATMED_ and capitals) follow.
type setting struct {
	name string
	def  string
	help string
	// hidden values may hold a password or key and are never echoed.
	hidden bool
	set    func(c *Config, v string) error
}

func (s setting) flag() string { return strings.ReplaceAll(s.name, "_", "-") }
func (s setting) env() string  { return prefix + strings.ToUpper(s.name) }

// settings is the table of everything an operator can set.
func settings() []setting {
	all := []setting{
		{name: "addr", def: ":8080", help: "host:port of the HTTP listener",
			set: func(c *Config, v string) error { return hostPort(&c.Addr, v) }},
		{name: "public_url", help: "origin of the API and the pages; default http://localhost:<port>",
			set: func(c *Config, v string) error { return origin(&c.PublicURL, v) }},
		{name: "room_url", help: "origin of the rooms; default the public URL",
			set: func(c *Config, v string) error { return origin(&c.RoomURL, v) }},
		{name: "secret", hidden: true, help: "at least 32 bytes, every key is derived from it; default generated into the data directory",
			set: func(c *Config, v string) error { return secret(&c.Secret, v) }},
		{name: "secret_previous", hidden: true, help: "the secret before the last rotation; its room tokens still verify",
			set: func(c *Config, v string) error { return secret(&c.SecretPrevious, v) }},
		{name: "data_dir", def: "./data", help: "directory of the database, recordings and files",
			set: func(c *Config, v string) error { return dir(&c.DataDir, v) }},
		{name: "database_url", hidden: true, help: "postgres://…; default SQLite in the data directory",
			set: func(c *Config, v string) error { return urlOf(&c.DatabaseURL, v, "postgres", "postgresql") }},
		{name: "redis_url", hidden: true, help: "redis:// or rediss://…; default in-process",
			set: func(c *Config, v string) error { return urlOf(&c.RedisURL, v, "redis", "rediss", "unix") }},
		{name: "udp_port", def: "7882", help: "UDP port of all media, 0 for any free one",
			set: func(c *Config, v string) error { return port(&c.UDPPort, v) }},
		{name: "udp_advertised_port", help: "UDP port that clients send media to, where a NAT forwards another one to this machine's; default the UDP port",
			set: func(c *Config, v string) error { return optionalPort(&c.UDPAdvertisedPort, v) }},
		{name: "node_ip", help: "address that media is sent to; default detected",
			set: func(c *Config, v string) error { return ip(&c.NodeIP, v) }},
		{name: "storage_url", hidden: true, help: "s3://…; default the data directory",
			set: func(c *Config, v string) error { return urlOf(&c.StorageURL, v, "s3") }},
		{name: "admin_addr", def: "127.0.0.1:9090", help: "host:port of metrics and pprof; not for the public",
			set: func(c *Config, v string) error { return hostPort(&c.AdminAddr, v) }},
		{name: "tls_domain", help: "host name to get a certificate for by ACME, which accepts the authority's terms",
			set: func(c *Config, v string) error { return domain(&c.TLSDomain, v) }},
		{name: "tls_cert", help: "PEM file of the certificate chain; read again when it changes or on SIGHUP",
			set: func(c *Config, v string) error { c.TLSCert = v; return nil }},
		{name: "tls_key", help: "PEM file of the private key",
			set: func(c *Config, v string) error { c.TLSKey = v; return nil }},
		{name: "acme_directory", def: LetsEncrypt, help: "directory URL of the certificate authority",
			set: func(c *Config, v string) error { return urlOf(&c.ACMEDirectory, v, "https") }},
		{name: "acme_email", help: "address the certificate authority may write to",
			set: func(c *Config, v string) error { return email(&c.ACMEEmail, v) }},
		{name: "acme_roots", help: "PEM file of the roots that the directory's own certificate is checked against; default the system's",
			set: func(c *Config, v string) error { c.ACMERoots = v; return nil }},
		{name: "http_redirect_addr", help: "host:port that sends plain HTTP to HTTPS and answers ACME's challenges, or off; default :80 with a tls_domain, else off",
			set: func(c *Config, v string) error { return optionalHostPort(&c.redirect, v) }},
		{name: "trusted_proxies", help: "addresses or CIDR ranges, separated by commas, whose X-Forwarded-For and X-Forwarded-Proto count",
			set: func(c *Config, v string) error { return prefixes(&c.TrustedProxies, v) }},
		{name: "plans_file", help: "YAML file of the plans of API keys; default the documented ones",
			set: func(c *Config, v string) error { c.PlansFile = v; return nil }},
		{name: "country", help: "where patients are of whom nobody says it, as an ISO 3166-1 code such as FR: whose emergency number they see; default 112 and 911",
			set: func(c *Config, v string) error { return country(&c.Country, v) }},
		{name: "hospitals_file", help: "CSV or GeoJSON file of hospitals for the emergency screen, see chatmed hospitals import; default a short built-in list",
			set: func(c *Config, v string) error { c.HospitalsFile = v; return nil }},
		{name: "interactions_url", hidden: true, help: "CDS Hooks service for drug interactions; default built in",
			set: func(c *Config, v string) error { return urlOf(&c.InteractionsURL, v, "http", "https") }},
		{name: "waiting_grace", def: "3m", help: "how long a dropped patient keeps the place in the waiting room",
			set: func(c *Config, v string) error { return duration(&c.WaitingGrace, v) }},
		{name: "empty_grace", def: "2m", help: "how long a call with nobody present lasts before it ends",
			set: func(c *Config, v string) error { return duration(&c.EmptyGrace, v) }},
		{name: "resume_grace", def: "60s", help: "how long a dropped participant of a call may resume",
			set: func(c *Config, v string) error { return duration(&c.ResumeGrace, v) }},
		{name: "max_participants", def: "16", help: "how many people one room takes; doctor and patient always find a place",
			set: func(c *Config, v string) error { return count(&c.MaxParticipants, v, 2, 200) }},
		{name: "retention_consultations", def: forever, help: "how long a consultation that is over is kept, with everything that belongs to it: for instance 3650d",
			set: func(c *Config, v string) error { return age(&c.Retention.Consultations, v) }},
		{name: "retention_chat", def: forever, help: "how long chat and waiting-room messages of consultations that are over are kept",
			set: func(c *Config, v string) error { return age(&c.Retention.Chat, v) }},
		{name: "retention_tickets", def: forever, help: "how long closed waiting-room tickets are kept",
			set: func(c *Config, v string) error { return age(&c.Retention.Tickets, v) }},
		{name: "retention_events", def: "30d", help: "how long delivered events are kept",
			set: func(c *Config, v string) error { return age(&c.Retention.Events, v) }},
		{name: "log_level", def: "info", help: "debug, info, warn or error",
			set: func(c *Config, v string) error { return level(&c.LogLevel, v) }},
		{name: "log_format", def: FormatText, help: "text or json",
			set: func(c *Config, v string) error { return oneOf(&c.LogFormat, v, FormatText, FormatJSON) }},
	}
	all = append(all, provider("chat", "chat engine", func(c *Config) *Provider { return &c.Chat })...)
	all = append(all, provider("vision", "imaging engine", func(c *Config) *Provider { return &c.Vision })...)
	return append(all, provider("speech", "speech engine", func(c *Config) *Provider { return &c.Speech })...)
}

// provider is the three settings of one outside engine.
func provider(name, what string, of func(*Config) *Provider) []setting {
	return []setting{
		{name: name + "_url", hidden: true, help: "OpenAI-compatible " + what + "; default built in",
			set: func(c *Config, v string) error { return urlOf(&of(c).URL, v, "http", "https") }},
		{name: name + "_key", hidden: true, help: "key of the " + what,
			set: func(c *Config, v string) error { of(c).Key = Secret(v); return nil }},
		{name: name + "_model", help: "model of the " + what,
			set: func(c *Config, v string) error { of(c).Model = v; return nil }},
	}
}
