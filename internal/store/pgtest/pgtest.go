// Package pgtest starts a real PostgreSQL for tests, on a Unix socket in a
// temporary directory: no port, no network. Only tests import it.
package pgtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"
)

// binaries is where Debian keeps initdb and postgres, a folder per version;
// elsewhere they are looked for on the PATH.
const binaries = "/usr/lib/postgresql/*/bin"

const (
	superuser  = "chatmed"
	osUser     = "postgres"
	startLimit = 60 * time.Second
	callLimit  = 30 * time.Second
)

// script runs the server until its standard input closes. The test binary
// holds the other end, so however the binary ends, the server ends with it and
// its directory is removed.
//
//go:embed server.sh
var script string

// server is the one PostgreSQL of this test binary, started by the first Start.
var server = sync.OnceValues(launch)

// instance is a running server.
type instance struct {
	dir string // of its socket
	// hold is the other end of its standard input, open as long as it must run.
	hold *os.File
}

// Start returns the URL of a new, empty database, which is dropped when tb
// ends. Every test of a binary shares one server; its user is a superuser.
func Start(tb testing.TB) string {
	tb.Helper()
	pg, err := server()
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	dir := pg.dir
	name := "t_" + strings.ToLower(rand.Text())
	if err := execute(dir, `CREATE DATABASE `+name); err != nil {
		tb.Fatalf("pgtest: create database: %v", err)
	}
	tb.Cleanup(func() {
		if err := execute(dir, `DROP DATABASE `+name+` WITH (FORCE)`); err != nil {
			tb.Errorf("pgtest: drop database: %v", err)
		}
	})
	return databaseURL(dir, name)
}

func databaseURL(dir, name string) string {
	u := url.URL{
		Scheme: "postgres", User: url.User(superuser), Host: "localhost", Path: name,
		RawQuery: url.Values{"host": {dir}}.Encode(),
	}
	return u.String()
}

// execute runs one statement in the maintenance database.
func execute(dir, statement string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	db, err := sql.Open("pgx", databaseURL(dir, "postgres"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, statement)
	return err
}

func launch() (*instance, error) {
	bin, err := findBinaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "chatmed-pg-")
	if err != nil {
		return nil, err
	}
	argv := []string{"sh", "-c", script, "pgtest", bin, dir, superuser}
	if os.Geteuid() == 0 { // PostgreSQL refuses to run as root
		if err := giveTo(osUser, dir); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
		argv = append([]string{"runuser", "-u", osUser, "--"}, argv...)
	}
	hold, err := start(argv, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := awaitReady(dir); err != nil {
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, logOf(dir)), hold.Close())
	}
	return &instance{dir, hold}, nil
}

// start runs argv and returns the other end of its standard input. The process
// is not waited for: it ends when that end closes, at the latest with us.
func start(argv []string, dir string) (hold *os.File, err error) {
	in, hold, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	cmd := exec.CommandContext(context.Background(), argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Stdin = in
	// Its own process group: an interrupt at the terminal reaches the tests
	// alone, and the server then ends through its input.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, hold.Close())
	}
	return hold, nil
}

func awaitReady(dir string) error {
	deadline := time.Now().Add(startLimit)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := execute(dir, `SELECT 1`)
		if err == nil {
			return nil
		}
		if _, failed := os.Stat(filepath.Join(dir, "failed")); failed == nil {
			return errors.New("PostgreSQL did not start")
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("PostgreSQL does not answer: %w", err)
		}
		<-tick.C
	}
}

func findBinaries() (string, error) {
	found, err := filepath.Glob(filepath.Join(binaries, "initdb"))
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", fmt.Errorf("PostgreSQL is not installed (Debian: apt-get install postgresql): %w", err)
	}
	return filepath.Dir(path), nil
}

// version is the number in …/postgresql/<number>/bin/initdb, 0 when there is none.
func version(initdb string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(initdb))))
	if err != nil {
		return 0
	}
	return n
}

func giveTo(name, dir string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	return os.Chown(dir, uid, gid)
}

func logOf(dir string) []byte {
	b, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil {
		return []byte(err.Error())
	}
	return b
}
