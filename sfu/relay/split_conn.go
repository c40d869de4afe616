package relay

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"sync"
)

// conn is an accepted connection with its first bytes put back.
type conn struct {
	net.Conn
	splitter *Splitter
	source   netip.Addr
	prefix   prefix
	once     sync.Once
}

func (c *conn) Read(p []byte) (int, error) { return c.prefix.read(p, c.Conn) }

// ReadFrom keeps sendfile for whoever uses it.
func (c *conn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }

// CloseWrite is what net/http looks for.
func (c *conn) CloseWrite() error {
	if t, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return t.CloseWrite()
	}
	return nil
}

// NetConn is the accepted connection.
func (c *conn) NetConn() net.Conn { return c.Conn }

func (c *conn) Close() error {
	c.once.Do(func() { c.splitter.forget(c) })
	return c.Conn.Close()
}

// secure is a TLS connection with its first bytes put back.
type secure struct {
	*tls.Conn
	prefix prefix
}

func (c *secure) Read(p []byte) (int, error) { return c.prefix.read(p, c.Conn) }

// handover is a listener whose connections come from the Splitter.
type handover struct {
	splitter *Splitter
	conns    chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func newHandover(s *Splitter) *handover {
	return &handover{splitter: s, conns: make(chan net.Conn), closed: make(chan struct{})}
}

// give waits for Accept; where none will come the connection is closed.
func (h *handover) give(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.closed:
		_ = c.Close()
	case <-h.splitter.ctx.Done():
		_ = c.Close()
	}
}

// Accept implements net.Listener.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
	case <-h.splitter.ctx.Done():
	}
	return nil, net.ErrClosed
}

// Close ends Accept. The port stays open until the Splitter is closed.
func (h *handover) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

func (h *handover) Addr() net.Addr { return h.splitter.ln.Addr() }
