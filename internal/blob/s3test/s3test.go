// Package s3test starts a real S3 server for tests: versitygw on its POSIX
// backend, built from the module in gateway, so that nothing of it is part of
// chatmed. Only tests import it.
package s3test

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const (
	buildLimit = 10 * time.Minute // the first time, on a slow machine
	startLimit = 30 * time.Second
	callLimit  = 10 * time.Second
	startTries = 5
)

// script runs the server until its standard input closes. The test binary holds
// the other end, so however the binary ends, the server ends with it and its
// directory is removed.
//
//go:embed server.sh
var script string

// server is the one of this test binary, started by the first Start.
var server = sync.OnceValues(launch)

// Server is a running S3 server.
type Server struct {
	Addr        string // host:port, without TLS
	Key, Secret string
	dir         string
	// hold is the other end of its standard input, open as long as it must run.
	hold   *os.File
	client *minio.Client
}

// Start returns the server, which every test of a binary shares.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s, err := server()
	if err != nil {
		tb.Fatalf("s3test: %v", err)
	}
	return s
}

// Bucket makes a new, empty bucket.
func (s *Server) Bucket(tb testing.TB) string {
	tb.Helper()
	name := "test-" + strings.ToLower(rand.Text()[:16])
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	if err := s.client.MakeBucket(ctx, name, minio.MakeBucketOptions{}); err != nil {
		tb.Fatalf("s3test: bucket: %v", err)
	}
	return name
}

// Versioned has the bucket keep what is overwritten and deleted.
func (s *Server) Versioned(tb testing.TB, bucket string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	if err := s.client.EnableVersioning(ctx, bucket); err != nil {
		tb.Fatalf("s3test: versions: %v", err)
	}
}

// URL is the storage URL of a bucket, with a prefix if that is not empty.
func (s *Server) URL(bucket, prefix string) string {
	return fmt.Sprintf("s3://%s:%s@%s/%s/%s?insecure=1&region=us-east-1", s.Key, s.Secret, s.Addr, bucket, prefix)
}

// Client speaks to the server without any of our code between.
func (s *Server) Client() *minio.Client { return s.client }

func launch() (*Server, error) {
	program, err := build()
	if err != nil {
		return nil, err
	}
	for range startTries { // another may take the port between
		var s *Server
		if s, err = run(program); err == nil {
			return s, nil
		}
	}
	return nil, err
}

// build returns the program, which the go command keeps in its cache.
func build() (string, error) {
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("no source path")
	}
	ctx, cancel := context.WithTimeout(context.Background(), buildLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "tool", "-n", "versitygw")
	cmd.Dir = filepath.Join(filepath.Dir(here), "gateway")
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly", "CGO_ENABLED=0")
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, complaints.String())
	}
	return strings.TrimSpace(string(out)), nil
}

func run(program string) (*Server, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "chatmed-s3-*")
	if err != nil {
		return nil, err
	}
	s := &Server{Addr: addr, Key: "chatmed-test", Secret: rand.Text(), dir: dir}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("sh", "-c", script, "sh", program, dir, addr)
	cmd.Stdin = theirs
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.Key, "ROOT_SECRET_KEY="+s.Secret)
	if err := errors.Join(cmd.Start(), theirs.Close()); err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	s.hold = ours
	s.client, err = minio.New(addr, &minio.Options{Creds: credentials.NewStaticV4(s.Key, s.Secret, ""), Region: "us-east-1"})
	if err == nil {
		err = s.await()
	}
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		return nil, errors.Join(fmt.Errorf("start: %w\n%s", err, log), ours.Close(), cmd.Wait())
	}
	return s, nil
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// await waits until the server answers.
func (s *Server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Addr+"/healthz", nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			if err = res.Body.Close(); err == nil && res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}
