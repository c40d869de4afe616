package impair

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"
)

// ping wakes the pump, which may sleep for longer than it should now.
func (r *Relay) ping() {
	select {
	case r.wake <- struct{}{}:
	default: // it is about to look anyway
	}
}

// buffer holds a copy of b until release.
func (r *Relay) buffer(b []byte) *[]byte {
	buf := r.buffers.Get().(*[]byte)
	*buf = append((*buf)[:0], b...)
	return buf
}

func (r *Relay) release(buf *[]byte) { r.buffers.Put(buf) }

// fromClients reads the relay's port until it is closed.
func (r *Relay) fromClients(ctx context.Context) {
	b := make([]byte, maxDatagram)
	for ctx.Err() == nil {
		n, addr, err := r.conn.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // an ICMP message about a client that has gone
			continue
		}
		c := r.clientOf(ctx, addr)
		if c == nil {
			continue
		}
		r.enter(datagram{from: c, up: true}, b[:n])
	}
}

// enter gives a datagram to its link.
func (r *Relay) enter(d datagram, b []byte) {
	now := time.Now()
	d.buf = r.buffer(b)
	r.mu.Lock()
	d.from.seen = now
	link := d.from.line.down
	if d.up {
		link = d.from.line.up
	}
	kept := link.Push(now, d, len(b)+headers)
	r.mu.Unlock()
	if !kept {
		r.release(d.buf)
		return
	}
	r.ping()
}

// clientOf finds the client of a source address, or lets it in. It is called by
// fromClients alone, so that no address gets two sockets.
func (r *Relay) clientOf(ctx context.Context, addr netip.AddrPort) *client {
	r.mu.Lock()
	c, full := r.clients[addr], len(r.clients) >= r.cfg.MaxClients
	if c == nil && full {
		r.refused++
	}
	r.mu.Unlock()
	if c != nil || full {
		return c
	}
	var d net.Dialer
	up, err := d.DialContext(ctx, "udp", r.cfg.Target.String())
	if err != nil {
		return nil
	}
	c = &client{addr: addr, upstream: up.(*net.UDPConn), seen: time.Now()}
	enlarge(c.upstream)
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.line = r.shared; c.line == nil {
		c.line, err = r.newLineLocked()
	}
	if err != nil || r.closed {
		_ = c.upstream.Close()
		return nil
	}
	r.clients[addr] = c
	r.work.Go(func() { r.fromTarget(ctx, c) })
	return c
}

// fromTarget reads what the target sends to one client, until the client has
// been idle or the relay ends.
func (r *Relay) fromTarget(ctx context.Context, c *client) {
	defer func() { _ = c.upstream.Close() }()
	b := make([]byte, maxDatagram)
	for ctx.Err() == nil {
		_ = c.upstream.SetReadDeadline(time.Now().Add(r.cfg.Idle))
		n, err := c.upstream.Read(b)
		switch {
		case err == nil:
			r.enter(datagram{from: c}, b[:n])
		case errors.Is(err, os.ErrDeadlineExceeded):
			if r.forget(c) {
				return
			}
		case errors.Is(err, net.ErrClosed):
			return
		default: // nobody listens at the target, or not yet
			r.count(&r.unsent)
		}
	}
}

// forget drops a client that has been idle.
func (r *Relay) forget(c *client) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(c.seen) < r.cfg.Idle {
		return false
	}
	delete(r.clients, c.addr)
	return true
}

// pump sends what has come out of the links, at its time.
func (r *Relay) pump(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var due []datagram
	for {
		var next time.Time
		var some bool
		due, next, some = r.collect(due[:0])
		for _, d := range due {
			r.write(d)
		}
		clear(due)
		wait := time.Hour
		if some {
			wait = max(0, time.Until(next))
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-timer.C:
		}
	}
}

// collect takes what is due, and says when to look again.
func (r *Relay) collect(due []datagram) (_ []datagram, next time.Time, some bool) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for l := range r.linesLocked() {
		for _, link := range []*Link[datagram]{l.up, l.down} {
			for {
				d, _, ok := link.Pop(now)
				if !ok {
					break
				}
				due = append(due, d)
			}
			if t, ok := link.Next(); ok && (!some || t.Before(next)) {
				next, some = t, true
			}
		}
	}
	return due, next, some
}

// write sends a datagram on. On the loopback network this does not block.
func (r *Relay) write(d datagram) {
	var err error
	if d.up {
		_, err = d.from.upstream.Write(*d.buf)
	} else {
		_, err = r.conn.WriteToUDPAddrPort(*d.buf, d.from.addr)
	}
	r.release(d.buf)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		r.count(&r.unsent)
	}
}

// count adds one to a counter that mu guards.
func (r *Relay) count(counter *uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*counter++
}
