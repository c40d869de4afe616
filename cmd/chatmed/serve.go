package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
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
	if cfg.TLSDomain != "" {
		return errors.New("certificates by ACME are not built in yet: give CHATMED_TLS_CERT and CHATMED_TLS_KEY, or put a proxy that ends TLS in front")
	}
	l, err := listen(ctx, cfg)
	if err != nil {
		return err
	}
	a, err := newApp(ctx, cfg, time.Now)
	if err != nil {
		return errors.Join(err, l.close())
	}
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

// listeners are the bound addresses of the public and the admin pages.
type listeners struct{ public, admin net.Listener }

// listen binds both addresses, so that a taken one is noticed before anything
// has started, and tells cfg which port it got.
func listen(ctx context.Context, cfg *config.Config) (l listeners, err error) {
	var lc net.ListenConfig
	if l.public, err = lc.Listen(ctx, "tcp", cfg.Addr); err != nil {
		return l, fmt.Errorf("%w: is another server running? choose another address with --addr", err)
	}
	if l.admin, err = lc.Listen(ctx, "tcp", cfg.AdminAddr); err != nil {
		return l, errors.Join(fmt.Errorf("%w: is another server running? choose another address with --admin-addr", err), l.public.Close())
	}
	if tcp, ok := l.public.Addr().(*net.TCPAddr); ok {
		cfg.Bound(tcp.Port)
	}
	return l, nil
}

func (l listeners) close() error { return errors.Join(l.public.Close(), l.admin.Close()) }

// webServers are the HTTP servers of the public and the admin address.
type webServers struct {
	public, admin *http.Server
	// failed gets the error of a server that ended by itself.
	failed chan error
	unused unusedConns
	done   sync.WaitGroup
}

// answer serves on l until shutdown.
func (a *app) answer(l listeners) *webServers {
	errorLog := slog.NewLogLogger(a.log.Handler(), slog.LevelWarn)
	w := &webServers{
		public: &http.Server{
			Handler: a.handler, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout,
			MaxHeaderBytes: maxHeaderBytes, ErrorLog: errorLog,
		},
		admin: &http.Server{
			Handler:           telemetry.Admin(a.registry, a.ready, a.log),
			ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, ErrorLog: errorLog,
		},
		failed: make(chan error, 2),
	}
	w.public.ConnState = w.unused.note
	run := func(serve func() error) {
		if err := serve(); !errors.Is(err, http.ErrServerClosed) {
			w.failed <- err
		}
	}
	w.done.Go(func() {
		run(func() error {
			if a.cfg.TLS() {
				return w.public.ServeTLS(l.public, a.cfg.TLSCert, a.cfg.TLSKey)
			}
			return w.public.Serve(l.public)
		})
	})
	w.done.Go(func() { run(func() error { return w.admin.Serve(l.admin) }) })
	return w
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
		err := errors.Join(w.public.Shutdown(ctx), w.admin.Shutdown(ctx))
		if err != nil { // requests that do not end are cut
			err = errors.Join(err, w.public.Close(), w.admin.Close())
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
