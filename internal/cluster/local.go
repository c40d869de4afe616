package cluster

import (
	"crypto/rand"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/chatmed/chatmed/internal/consult"
)

// clockStep is how often the in-process server learns the time; keys expire at
// most this late.
const clockStep = 500 * time.Millisecond

// local is a Redis server inside the process, on a free loopback port. The
// waiting room's patient data is in it, so it asks for a password that only
// this process knows.
type local struct {
	server   *miniredis.Miniredis
	password string
	stop     chan struct{}
	done     chan struct{}
}

func startLocal(now consult.Clock) (*local, error) {
	l := &local{
		server: miniredis.NewMiniRedis(), password: rand.Text(),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	l.server.RequireAuth(l.password)
	l.server.SetTime(now())
	l.server.ClockTTL(true)
	if err := l.server.StartAddr("127.0.0.1:0"); err != nil {
		return nil, err
	}
	go l.driveClock(now)
	return l, nil
}

func (l *local) driveClock(now consult.Clock) {
	defer close(l.done)
	t := time.NewTicker(clockStep)
	defer t.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-t.C:
			l.server.SetTime(now())
		}
	}
}

func (l *local) options() *redis.Options {
	return &redis.Options{Addr: l.server.Addr(), Password: l.password}
}

func (l *local) close() {
	close(l.stop)
	<-l.done
	l.server.Close()
}
