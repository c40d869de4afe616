package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/chatmed/chatmed/api"
	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/blob"
	"github.com/chatmed/chatmed/internal/clinical/chat"
	"github.com/chatmed/chatmed/internal/clinical/emergency"
	"github.com/chatmed/chatmed/internal/clinical/emergency/places"
	"github.com/chatmed/chatmed/internal/cluster"
	"github.com/chatmed/chatmed/internal/config"
	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/limits"
	"github.com/chatmed/chatmed/internal/store"
	"github.com/chatmed/chatmed/internal/telemetry"
	"github.com/chatmed/chatmed/recording"
	"github.com/chatmed/chatmed/recording/compose"
	"github.com/chatmed/chatmed/recording/vault"
	"github.com/chatmed/chatmed/sfu"
	"github.com/chatmed/chatmed/signaling"
	"github.com/chatmed/chatmed/waitingroom"
	"github.com/chatmed/chatmed/web"
)

// app is the wired server. Fields are in the order they are built; stop undoes
// them in reverse.
type app struct {
	cfg      *config.Config
	now      consult.Clock
	log      *slog.Logger
	registry *prometheus.Registry
	store    *store.Store
	redis    *cluster.Redis
	keys     *auth.Keys
	tokens   *auth.Tokens
	links    auth.Links
	sealKeys [][]byte // of stored answers and cursors
	linkKeys [][]byte // of links to files of recordings
	limits   *limits.Limiter

	emergency *emergency.Engine
	chat      *chat.Engine
	hospitals *places.Hospitals

	consultations *consult.Service
	waitingRoom   *waitingroom.Service
	media         *sfu.SFU
	blobs         blob.Store
	vault         *vault.Vault
	composer      *compose.Service
	recordings    *recording.Service
	signal        *signaling.Server
	monitor       *api.Monitor
	handler       http.Handler

	stopping   atomic.Bool
	web        *webServers        // nil until start
	cancel     context.CancelFunc // of the background work
	background sync.WaitGroup
}

// newApp builds everything and starts nothing that others can see. After an
// error what was opened is closed again. now is the time of day of everything
// but the media, which measures intervals with the machine's own clock.
func newApp(ctx context.Context, cfg *config.Config, now consult.Clock) (a *app, err error) {
	a = &app{cfg: cfg, now: now, log: telemetry.NewLogger(os.Stderr, cfg.LogFormat, cfg.LogLevel)}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.abandon(ctx))
		}
	}()
	if a.registry, err = telemetry.NewRegistry(version, ""); err != nil {
		return a, err
	}
	if err = a.openDatabase(ctx); err != nil {
		return a, err
	}
	if a.redis, err = cluster.Open(ctx, cfg.RedisURL, now, a.log); err != nil {
		return a, err
	}
	if err = signAudit(ctx, cfg, a.store); err != nil {
		return a, err
	}
	if err = a.openAuth(); err != nil {
		return a, err
	}
	if err = a.openEmergency(); err != nil {
		return a, err
	}
	if a.chat, err = chat.New(); err != nil {
		return a, err
	}
	a.consultations = consult.NewService(a.store, a.redis.Bus(), now, a.log)
	a.waitingRoom = waitingroom.New(a.store, a.redis.Client(), a.redis.Bus(), a.consultations, now,
		waitingroom.Config{Grace: cfg.WaitingGrace, Screen: a.screen}, a.log)
	a.consultations.OnClosed(a.waitingRoom.SessionClosed)
	a.keys.Announce(a.redis.Bus())
	a.keys.OnEndCalls(func(ctx context.Context, key *consult.APIKey) error {
		_, err := a.consultations.EndOfKey(ctx, key.Scope, key.ID, consult.System)
		return err
	})
	if err = a.openMedia(); err != nil {
		return a, err
	}
	if err = a.openRecordings(); err != nil {
		return a, err
	}
	if err = a.checkStorage(ctx); err != nil {
		return a, err
	}
	if err = a.openSignalling(); err != nil {
		return a, err
	}
	return a, a.openHTTP()
}

func (a *app) openDatabase(ctx context.Context) (err error) {
	if err = os.MkdirAll(a.cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	a.store, err = store.Open(ctx, a.cfg.DatabaseURL, a.cfg.DataDir, a.log)
	return err
}

// purposeSeal is what stored answers and cursors are protected for.
const purposeSeal = "chatmed api seal v1"

func (a *app) openAuth() error {
	secrets, err := auth.NewSecrets([]byte(a.cfg.Secret), []byte(a.cfg.SecretPrevious))
	if err != nil {
		return err
	}
	if a.keys, err = auth.NewKeys(a.store, secrets, a.now, a.log); err != nil {
		return err
	}
	if a.tokens, err = auth.NewTokens(secrets, a.store, a.keys, a.now); err != nil {
		return err
	}
	if a.sealKeys, err = secrets.Derive(purposeSeal); err != nil {
		return err
	}
	if a.linkKeys, err = secrets.Derive(auth.PurposeLink); err != nil {
		return err
	}
	plans, err := plansOf(a.cfg)
	if err != nil {
		return err
	}
	var shared redis.UniversalClient // nil in process: one node knows what it let through, exactly and faster
	if a.cfg.RedisURL != "" {
		shared = a.redis.Client()
	}
	a.limits = limits.New(shared, plans, a.now, a.log)
	a.links = auth.Links{RoomURL: a.cfg.RoomURL, PublicURL: a.cfg.PublicURL}
	return nil
}

// plansOf are the documented plans, or those of the operator's file.
func plansOf(cfg *config.Config) (limits.Plans, error) {
	if cfg.PlansFile == "" {
		return limits.DefaultPlans()
	}
	raw, err := os.ReadFile(cfg.PlansFile)
	if err != nil {
		return nil, fmt.Errorf("plans: %w", err)
	}
	return limits.LoadPlans(raw)
}

func (a *app) openMedia() (err error) {
	media := sfu.Config{Addr: "[::]:" + strconv.Itoa(a.cfg.UDPPort), AllowLoopback: localURL(a.cfg.RoomURL), AdvertisePort: uint16(a.cfg.UDPAdvertisedPort)}
	if ip := a.cfg.NodeIP; ip.IsValid() {
		media.Advertise = []netip.Addr{ip}
		if ip.IsLoopback() {
			media.Addr = net.JoinHostPort(ip.String(), strconv.Itoa(a.cfg.UDPPort))
		}
	}
	if !hasIPv6() && !a.cfg.NodeIP.IsLoopback() {
		media.Addr = "0.0.0.0:" + strconv.Itoa(a.cfg.UDPPort)
	}
	a.media, err = sfu.New(media, a.log, a.registry)
	return err
}

func (a *app) openSignalling() (err error) {
	cfg := signaling.DefaultConfig()
	cfg.Origins = origins(a.cfg.PublicURL, a.cfg.RoomURL)
	cfg.MaxParticipants = a.cfg.MaxParticipants
	cfg.ResumeGrace, cfg.WaitingGrace, cfg.EmptyGrace = a.cfg.ResumeGrace, a.cfg.WaitingGrace, a.cfg.EmptyGrace
	a.signal, err = signaling.New(cfg, signaling.Deps{
		Tokens: a.tokens, Links: a.links, Consultations: a.consultations,
		Tickets: a.waitingRoom, Queue: a.waitingRoom, Emergencies: emergencyLines{a.cfg.Country}, Recordings: a.recordings, Store: a.store, Media: legs{a.media},
		Bus: a.redis.Bus(), Clock: clock{now: a.now}, Log: a.log, Metrics: a.registry,
	})
	return err
}

func (a *app) openHTTP() (err error) {
	var proxies []string
	for _, p := range a.cfg.TrustedProxies {
		proxies = append(proxies, p.String())
	}
	a.monitor = api.NewMonitor(a.checks(), a.now, a.log)
	a.handler, err = api.New(api.Deps{
		Config:        api.Config{TrustedProxies: proxies, SealKeys: a.sealKeys, Country: a.cfg.Country, PublicURL: a.cfg.PublicURL, LinkKeys: a.linkKeys},
		Consultations: a.consultations, Sessions: a.consultations, WaitingRoom: a.waitingRoom,
		Desk: a.waitingRoom, Presence: a.waitingRoom, Tickets: a.store, Patients: patients{a.store, a.recordings.PurgeSoon}, Audit: auditOfStore{a.store},
		Room: a.signal, Participations: a.store, Quality: quality{a.store, a.media}, Idempotency: a.store,
		Keys: a.keys, KeyAdmin: a.keys, AllKeys: a.keys, Limits: a.limits, Tokens: a.tokens, Links: a.links, Monitor: a.monitor,
		Emergency: a.emergency, Hospitals: a.hospitals, Events: a.store,
		Chat: a.chat, ChatModel: chatModel(a.cfg.Chat), ChatSessions: a.store,
		Consents: a.store, RecordingSettings: a.store, RecordingKeys: ageKeys{},
		Recordings: a.store, Recorder: a.recordings, RecordingFiles: recordingFiles{a.blobs, a.vault}, Composer: a.composer, RoomTokens: a.tokens,
		Signal: a.signal, Web: web.Handler(web.Config{FrameAncestors: a.frameAncestors}),
		Now: a.now, Log: a.log, Registry: a.registry,
	})
	return err
}

// start answers on l and runs the background work.
func (a *app) start(l listeners) {
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	a.background.Go(func() { a.keys.Run(ctx) })
	a.background.Go(func() { a.limits.Run(ctx) })
	a.background.Go(func() { a.monitor.Run(ctx) })
	a.background.Go(func() { a.consultations.Run(ctx, sweepEvery) })
	a.background.Go(func() { a.waitingRoom.Run(ctx) })
	a.background.Go(func() { a.signal.Run(ctx) })
	a.background.Go(func() { a.recordings.Run(ctx) })
	a.background.Go(func() { a.composer.Run(ctx) })
	a.background.Go(func() { a.retain(ctx) })
	a.web = a.answer(l)
}

// sweepEvery is how late an expiry may be noticed when nobody asks.
const sweepEvery = 10 * time.Second

// stop ends everything in order, within ctx: no more connections, signalling,
// recordings, rooms, requests under way, background work, stores. Requests may finish while
// the calls are being closed, but nothing they use is closed before them.
func (a *app) stop(ctx context.Context) error {
	a.stopping.Store(true)
	answered := a.web.shutdown(ctx)
	err := a.signal.Shutdown(ctx)
	err = errors.Join(err, a.recordings.Close(ctx), a.composer.Close(ctx), a.media.Close(ctx), <-answered)
	a.cancel()
	done := make(chan struct{})
	go func() { // ends with the background work, which cancel has told to end
		defer close(done)
		a.background.Wait()
		a.waitingRoom.Close()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		err = errors.Join(err, ctx.Err())
	}
	return errors.Join(err, a.closeStores())
}

// abandon closes what newApp had opened before it failed.
func (a *app) abandon(ctx context.Context) error {
	var err error
	if a.recordings != nil {
		err = a.recordings.Close(ctx)
	}
	if a.composer != nil {
		err = errors.Join(err, a.composer.Close(ctx))
	}
	if a.media != nil {
		err = errors.Join(err, a.media.Close(ctx))
	}
	if a.waitingRoom != nil {
		a.waitingRoom.Close()
	}
	return errors.Join(err, a.closeStores())
}

func (a *app) closeStores() error {
	var err error
	if c, ok := a.blobs.(io.Closer); ok {
		err = errors.Join(err, c.Close())
	}
	if a.redis != nil {
		err = errors.Join(err, a.redis.Close())
	}
	if a.store != nil {
		err = errors.Join(err, a.store.Close())
	}
	return err
}

// origins are the origins our own pages have. A local server is reachable
// under each name of this machine.
func origins(urls ...string) []string {
	var out []string
	for _, raw := range urls {
		out = append(out, raw)
		u, err := url.Parse(raw)
		if err != nil || !localURL(raw) {
			continue
		}
		for _, host := range []string{"localhost", "127.0.0.1", "::1"} {
			h := host
			if p := u.Port(); p != "" {
				h = net.JoinHostPort(host, p)
			} else if host == "::1" {
				h = "[::1]"
			}
			out = append(out, u.Scheme+"://"+h)
		}
	}
	return out
}

// localURL reports whether a URL names this machine only.
func localURL(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil {
		return false
	}
	if u.Hostname() == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err == nil && ip.IsLoopback()
}

func hasIPv6() bool {
	l, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// clock is the time of day for signalling, with the machine's own timers.
type clock struct {
	signaling.SystemClock
	now consult.Clock
}

// Now returns the time of day.
func (c clock) Now() time.Time { return c.now() }

// legs lets signalling drive the SFU.
type legs struct{ sfu *sfu.SFU }

func (l legs) Join(ctx context.Context, r sfu.JoinRequest) (signaling.Leg, sfu.Answer, error) {
	p, ans, err := l.sfu.Join(ctx, r)
	if err != nil {
		return nil, sfu.Answer{}, err // not a nil *Participant in an interface
	}
	return p, ans, nil
}

// quality tells the API how calls are and were.
type quality struct {
	*store.Store
	sfu *sfu.SFU
}

// Live is what the SFU of this node knows.
func (q quality) Live(sessionID string) []consult.LegQuality { return q.sfu.Reports(sessionID) }
