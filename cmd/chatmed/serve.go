package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/chatmed/chatmed/internal/config"
	"github.com/chatmed/chatmed/internal/telemetry"
)

// stopTimeout bounds the whole shutdown.
const stopTimeout = 20 * time.Second

// serve builds the server, answers until ctx ends, and stops it in order.
func serve(ctx context.Context, cfg *config.Config, demo bool) error {
	if cfg.TLSDomain != "" {
		return errors.New("certificates by ACME are not built in yet: give CHATMED_TLS_CERT and CHATMED_TLS_KEY, or put a proxy that ends TLS in front")
	}
	l, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return fmt.Errorf("%w: is another server running? choose a port with --addr", err)
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); ok {
		cfg.Bound(tcp.Port)
	}
	a, err := newApp(ctx, cfg)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	a.start()
	public := &http.Server{
		Handler: a.handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10,
	}
	admin := &http.Server{
		Addr: cfg.AdminAddr, ReadHeaderTimeout: 10 * time.Second,
		Handler: telemetry.Admin(a.registry, a.ready, a.log),
	}
	failed := make(chan error, 2)
	a.background.Go(func() {
		if cfg.TLS() {
			failed <- public.ServeTLS(l, cfg.TLSCert, cfg.TLSKey)
			return
		}
		failed <- public.Serve(l)
	})
	a.background.Go(func() { failed <- admin.ListenAndServe() })
	a.log.Info("serving", "addr", l.Addr().String(), "url", cfg.PublicURL, "media", fmt.Sprint(a.media.Candidates()), "version", version)
	if demo {
		err = a.printDemo(ctx, os.Stdout)
	}
	if err == nil {
		select {
		case <-ctx.Done():
		case err = <-failed:
		}
	}
	a.log.Info("stopping")
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	// Shutdown waits for requests, not for WebSockets: those are closed by stop.
	err = errors.Join(err, public.Shutdown(stopCtx), admin.Shutdown(stopCtx), a.stop(stopCtx))
	if err == nil {
		a.log.Info("stopped")
	}
	return err
}

// ready reports whether every dependency answers.
func (a *app) ready(ctx context.Context) error {
	return errors.Join(a.store.Ping(ctx), a.redis.Ping(ctx))
}
