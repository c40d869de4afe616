package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/chatmed/chatmed/internal/config"
	"github.com/chatmed/chatmed/internal/telemetry"
)

const (
	// stopTimeout bounds the whole shutdown, requestTimeout what is left to
	// requests under way.
	stopTimeout    = 20 * time.Second
	requestTimeout = 10 * time.Second

	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
)

// serve builds the server, answers until ctx ends, and stops it in order.
func serve(ctx context.Context, cfg *config.Config, demo bool, out io.Writer) error {
	tuneMemory()
	l, err := listen(ctx, cfg)
	if err != nil {
		return err
	}
	a, err := newApp(ctx, cfg, time.Now)
	if err != nil {
		return errors.Join(err, l.close())
	}
	settleMemory()
	a.start(l)
	a.log.Info("serving", "addr", l.public.Addr().String(), "admin", l.admin.Addr().String(), "url", cfg.PublicURL,
		"media", fmt.Sprint(a.media.Candidates()), "version", version)
	if demo {
		err = a.printDemo(ctx, out)
	}
	if err == nil {
		select {
		case <-ctx.Done():
		case err = <-a.web.failed:
		}
	}
	a.log.Info("stopping")
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err = errors.Join(err, a.stop(stopCtx))
	if err == nil {
		a.log.Info("stopped")
	}
	return err
}

// listeners are the bound addresses of the public and the admin pages, and what
// HTTPS needs.
type listeners struct {
	public, admin net.Listener
	plain         net.Listener // plain HTTP that is sent to HTTPS; nil without
	certs         certificates // nil: this server does not end TLS
}

// listen reads the certificate and binds the addresses, so that a bad or taken
// one is noticed before anything has started, and tells cfg which port it got.
func listen(ctx context.Context, cfg *config.Config) (l listeners, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	var lc net.ListenConfig
	bind := func(addr, flag string) (net.Listener, error) {
		b, err := lc.Listen(ctx, "tcp", addr)
		switch {
		case errors.Is(err, fs.ErrPermission):
			return nil, fmt.Errorf("%w: this user may not use the port: give the program CAP_NET_BIND_SERVICE, or choose another address with --%s", err, flag)
		case err != nil:
			return nil, fmt.Errorf("%w: is another server running? choose another address with --%s", err, flag)
		}
		return b, nil
	}
	if l.public, err = bind(cfg.Addr, "addr"); err != nil {
		return l, err
	}
	if l.admin, err = bind(cfg.AdminAddr, "admin-addr"); err != nil {
		return l, err
	}
	if cfg.HTTPRedirectAddr != "" {
		if l.plain, err = bind(cfg.HTTPRedirectAddr, "http-redirect-addr"); err != nil {
			return l, err
		}
	}
	if tcp, ok := l.public.Addr().(*net.TCPAddr); ok {
		cfg.Bound(tcp.Port)
	}
	l.certs, err = newCertificates(cfg)
	return l, err
}

func (l listeners) close() (err error) {
	for _, b := range []net.Listener{l.public, l.admin, l.plain} {
		if b != nil {
			err = errors.Join(err, b.Close())
		}
	}
	return err
}

// webServers are the HTTP servers of the public and the admin address, and the
// one that sends plain HTTP to HTTPS.
type webServers struct {
	public, admin *http.Server
	plain         *http.Server // nil without
	// failed gets the error of a server that ended by itself.
	failed chan error
	unused unusedConns
	done   sync.WaitGroup
	cancel context.CancelFunc // of what keeps the certificate fresh
}

// answer serves on l until shutdown.
func (a *app) answer(l listeners) *webServers {
	errorLog := slog.NewLogLogger(serverLog{a.log.Handler()}, slog.LevelWarn)
	ctx, cancel := context.WithCancel(context.Background())
	w := &webServers{
		public: &http.Server{
			Handler: secured(a.cfg, a.handler), ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout,
			MaxHeaderBytes: maxHeaderBytes, ErrorLog: errorLog,
		},
		admin: &http.Server{
			Handler:           telemetry.Admin(a.registry, a.ready, a.log),
			ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, ErrorLog: errorLog,
		},
		failed: make(chan error, 3),
		cancel: cancel,
	}
	w.public.ConnState = w.unused.note
	run := func(serve func() error) {
		w.done.Go(func() {
			if err := serve(); !errors.Is(err, http.ErrServerClosed) {
				w.failed <- err
			}
		})
	}
	run(func() error { return w.admin.Serve(l.admin) })
	if l.certs == nil {
		run(func() error { return w.public.Serve(l.public) })
		return w
	}
	w.public.TLSConfig = l.certs.tls()
	run(func() error { return w.public.ServeTLS(l.public, "", "") })
	if l.plain != nil {
		w.plain = &http.Server{
			Handler: l.certs.challenges(redirect(a.cfg)), ReadHeaderTimeout: readHeaderTimeout,
			ReadTimeout: readHeaderTimeout, WriteTimeout: readHeaderTimeout, MaxHeaderBytes: maxHeaderBytes, ErrorLog: errorLog,
		}
		w.plain.ConnState = w.unused.note
		run(func() error { return w.plain.Serve(l.plain) })
	}
	w.done.Go(func() {
		reload, stop := hangups()
		defer stop()
		l.certs.run(ctx, reload, a.log)
	})
	return w
}

// hangups turns SIGHUP into requests to read the certificate again. stop gives
// the signal its usual meaning back.
func hangups() (reload <-chan struct{}, stop func()) {
	signals, out := make(chan os.Signal, 1), make(chan struct{}, 1)
	signal.Notify(signals, syscall.SIGHUP)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range signals {
			select {
			case out <- struct{}{}:
			default: // one is asked for already
			}
		}
	})
	return out, func() {
		signal.Stop(signals)
		close(signals)
		wg.Wait()
	}
}

// shutdown returns once nothing new is accepted, and sends when the requests
// under way are over. It does not wait for WebSockets, which are no requests
// any more: those are signalling's.
func (w *webServers) shutdown(ctx context.Context) <-chan error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	closed, out := make(chan struct{}), make(chan error, 1)
	w.public.RegisterOnShutdown(func() { // runs when the listener is closed
		close(closed)
		w.unused.close()
	})
	go func() {
		defer cancel()
		w.cancel()
		servers := []*http.Server{w.public, w.admin}
		if w.plain != nil {
			servers = append(servers, w.plain)
		}
		var err error
		for _, s := range servers {
			err = errors.Join(err, s.Shutdown(ctx))
		}
		if err != nil { // requests that do not end are cut
			for _, s := range servers {
				err = errors.Join(err, s.Close())
			}
		}
		w.done.Wait()
		out <- err
	}()
	<-closed
	return out
}

// unusedConns are connections that no request has come on yet. Browsers keep
// such in reserve, and http.Server.Shutdown would wait five seconds for each.
type unusedConns struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

// note is an http.Server's ConnState.
func (u *unusedConns) note(c net.Conn, s http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if s != http.StateNew {
		delete(u.conns, c)
		return
	}
	if u.conns == nil {
		u.conns = map[net.Conn]struct{}{}
	}
	u.conns[c] = struct{}{}
}

// close closes them all.
func (u *unusedConns) close() {
	u.mu.Lock()
	conns := u.conns
	u.conns = nil
	u.mu.Unlock()
	for c := range conns {
		_ = c.Close() // its peer may have been faster
	}
}

// ready reports whether every dependency answers.
func (a *app) ready(ctx context.Context) error {
	return errors.Join(a.store.Ping(ctx), a.redis.Ping(ctx))
}
