package main

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"

	"github.com/chatmed/chatmed/api"
)

// checks are the components of /status and the dependencies of /readyz.
func (a *app) checks() []api.Check {
	return []api.Check{
		{Name: "signalling", Ping: a.pingSignalling},
		{Name: "media", Ping: a.pingMedia},
		{Name: "database", Ping: a.store.Ping},
		{Name: "redis", Ping: a.redis.Ping},
		{Name: "storage", Ping: a.pingStorage},
	}
}

var errStopping = errors.New("the server is stopping")

// pingSignalling: signalling lives in this process and ends before it.
func (a *app) pingSignalling(context.Context) error {
	if a.stopping.Load() {
		return errStopping
	}
	return nil
}

// pingMedia holds that the media port is still ours: nobody else can have it.
func (a *app) pingMedia(ctx context.Context) error {
	if a.stopping.Load() {
		return errStopping
	}
	var lc net.ListenConfig
	probe, err := lc.ListenPacket(ctx, "udp", ":"+strconv.Itoa(int(a.media.Port())))
	if err != nil {
		return nil //nolint:nilerr // taken, as it should be
	}
	return errors.Join(errors.New("the media port is free"), probe.Close())
}

// pingStorage writes and removes a file where recordings are written, and asks
// the store that they go to then.
func (a *app) pingStorage(ctx context.Context) error {
	f, err := os.CreateTemp(a.cfg.DataDir, ".probe-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString("probe")
	return errors.Join(err, f.Close(), os.Remove(f.Name()), a.blobs.Ping(ctx))
}
