// Package redistest starts a real redis-server for tests: on a free loopback
// port, in a temporary directory, without persistence, stopped with the test.
package redistest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	startTimeout = 10 * time.Second
	callTimeout  = 5 * time.Second
	// startTries is how often a start is tried when its port was taken between
	// choosing it and binding it.
	startTries = 20
)

// Server is a redis-server process. Its methods may be called from the test's
// goroutine only, because they end the test when they fail.
type Server struct {
	tb   testing.TB
	dir  string
	port int
	proc *process // nil while stopped
}

// process is one run of the server; the goroutine that started it waits for it.
type process struct {
	os   *os.Process
	done chan struct{} // closed when the process has been reaped
}

// Start runs a redis-server until the end of the test.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{tb: tb, dir: tb.TempDir()}
	tb.Cleanup(s.Stop)
	var err error
	for range startTries {
		if s.port, err = freePort(); err != nil {
			break
		}
		if s.proc, err = s.launch(); err == nil {
			return s
		}
	}
	tb.Fatalf("redis-server does not start: %v", err)
	return nil
}

// URL is the server's address as CHATMED_REDIS_URL takes it. It stays the same
// over Restart.
func (s *Server) URL() string { return "redis://" + s.Addr() + "/0" }

// Addr is the server's host:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Client returns a client that is closed with the test.
func (s *Server) Client() redis.UniversalClient {
	c := redis.NewClient(&redis.Options{Addr: s.Addr()})
	s.tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			s.tb.Errorf("close redis client: %v", err)
		}
	})
	return c
}

// Stop kills the server at once, as a power cut would, and waits for its end.
// Stopping a stopped server does nothing.
func (s *Server) Stop() {
	if s.proc == nil {
		return
	}
	// SIGKILL also ends a paused process.
	if err := s.proc.os.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.tb.Errorf("kill redis-server: %v", err)
	}
	<-s.proc.done
	s.proc = nil
}

// Restart kills the server if it runs and starts it again, empty, on the same
// port.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Stop()
	var err error
	for range startTries {
		if s.proc, err = s.launch(); err == nil {
			return
		}
	}
	s.tb.Fatalf("redis-server does not restart on port %d: %v", s.port, err)
}

// Flush deletes every key.
func (s *Server) Flush() {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	c := redis.NewClient(&redis.Options{Addr: s.Addr()})
	err := c.FlushAll(ctx).Err()
	if err = errors.Join(err, c.Close()); err != nil {
		s.tb.Fatalf("flush redis: %v", err)
	}
}

// Pause makes the server hang (SIGSTOP) until Resume: connections stay open
// and nothing answers.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig os.Signal) {
	s.tb.Helper()
	if s.proc == nil {
		s.tb.Fatal("redis-server is not running")
	}
	if err := s.proc.os.Signal(sig); err != nil {
		s.tb.Fatalf("%v redis-server: %v", sig, err)
	}
}

// launch starts the server on s.port and returns once it accepts connections.
func (s *Server) launch() (*process, error) {
	cmd := exec.Command("redis-server",
		"--bind", "127.0.0.1", "--port", strconv.Itoa(s.port), "--dir", s.dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no")
	cmd.SysProcAttr = dieWithParent()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p := &process{done: make(chan struct{})}
	started, ready := make(chan error, 1), make(chan error, 1)
	go func() {
		defer close(p.done)
		// The parent-death signal is bound to the thread that starts the child,
		// so that thread must live as long as the child does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		p.os = cmd.Process
		started <- nil
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			said := lines.Text()
			if strings.Contains(said, "Ready to accept connections") {
				ready <- nil
				break
			}
			if strings.Contains(said, "bind:") || strings.Contains(said, "FATAL") {
				ready <- fmt.Errorf("redis-server: %s", said)
				break
			}
		}
		for lines.Scan() { // the pipe must not fill up
		}
		select {
		case ready <- errors.New("redis-server ended early"):
		default:
		}
		_ = cmd.Wait() // the exit status of a killed process says nothing
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	select {
	case err = <-ready:
	case <-time.After(startTimeout):
		err = errors.New("redis-server is not ready in time")
	}
	if err != nil {
		_ = p.os.Kill() // it may have ended already
		<-p.done
		return nil, err
	}
	return p, nil
}

// freePort returns a loopback TCP port that is free at this moment.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}
