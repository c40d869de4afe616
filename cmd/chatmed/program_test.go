package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/chatmed/chatmed/internal/consult"
)

// program is a chatmed process. The test binary plays it.
func program(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Dir = t.TempDir()
	// The race detector would make every process last a second longer.
	cmd.Env = append([]string{asProgram + "=1", "HOME=" + cmd.Dir, "GORACE=atexit_sleep_ms=0"}, env...)
	return cmd
}

// result is what a command printed and how it ended.
type result struct {
	out, complaint string
	code           int
}

// last is the last line of the output.
func (r result) last() string {
	lines := strings.Split(strings.TrimRight(r.out, "\n"), "\n")
	return lines[len(lines)-1]
}

func execute(t *testing.T, env []string, args ...string) (r result) {
	t.Helper()
	cmd := program(t, env, args...)
	var out, complaint strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{out.String(), complaint.String(), cmd.ProcessState.ExitCode()}
}

func TestKeysWhileTheServerRuns(t *testing.T) {
	srv := newServer(t)
	env := []string{"CHATMED_DATA_DIR=" + srv.cfg.DataDir}
	made := execute(t, env, "keys", "create", "--name", "Clinic", "--plan", "professional", "--mode", "test")
	if made.code != 0 || !regexp.MustCompile(`^sk_test_\S+$`).MatchString(made.last()) {
		t.Fatalf("keys create: %+v", made)
	}
	srv.key = made.last()
	var me struct {
		Name, Plan, Mode string
	}
	srv.want(http.MethodGet, "/api/v1/users/me", nil, &me)
	if me.Name != "Clinic" || me.Plan != consult.PlanProfessional || me.Mode != "test" {
		t.Errorf("users/me is %+v", me)
	}

	id := regexp.MustCompile(`key_\w+`).FindString(made.out)
	if l := execute(t, env, "keys", "list"); l.code != 0 || !strings.Contains(l.out, id) ||
		!strings.Contains(l.out, "active") || strings.Contains(l.out, srv.key) {
		t.Errorf("keys list: %+v", l)
	}
	if r := execute(t, env, "keys", "revoke", id); r.code != 0 || !strings.Contains(r.out, id+" is revoked") {
		t.Errorf("keys revoke: %+v", r)
	}
	// The server learns of it from the database, without Redis.
	eventually(t, "the key is refused", func() bool {
		return srv.request(http.MethodGet, "/api/v1/users/me", nil, nil) == http.StatusUnauthorized
	})
	if l := execute(t, env, "keys", "list"); !strings.Contains(l.out, "revoked 2") {
		t.Errorf("keys list: %+v", l)
	}
	if again := execute(t, nil, "keys", "revoke", "--data-dir", srv.cfg.DataDir, id); again.code != 0 {
		t.Errorf("revoking twice, the id last: %+v", again)
	}
}

func TestWrongArguments(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		env  string
		want string
	}{
		"unknown command":      {args: []string{"sevre"}, want: `unknown command "sevre": serve, demo, keys`},
		"unknown flag":         {args: []string{"serve", "--adr=:1"}, want: "did you mean --addr"},
		"unknown variable":     {args: []string{"serve"}, env: "CHATMED_ADR=:1", want: "did you mean CHATMED_ADDR"},
		"stray argument":       {args: []string{"serve", "now"}, want: `unexpected argument "now"`},
		"bad value":            {args: []string{"serve", "--udp-port=70000"}, want: "--udp-port"},
		"weak secret":          {args: []string{"serve"}, env: "CHATMED_SECRET=short", want: "CHATMED_SECRET"},
		"bad certificate":      {args: []string{"serve", "--addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", "--tls-cert=/dev/null", "--tls-key=/dev/null"}, want: "give CHATMED_TLS_CERT and CHATMED_TLS_KEY the PEM files"},
		"bad roots":            {args: []string{"serve", "--addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", "--http-redirect-addr=off", "--tls-domain=a.example", "--acme-roots=/dev/null"}, want: "CHATMED_ACME_ROOTS holds no certificate"},
		"keys alone":           {args: []string{"keys"}, want: "keys create --name N, keys list or keys revoke ID"},
		"keys unknown":         {args: []string{"keys", "delete"}, want: "unknown command keys delete: create, list or revoke"},
		"keys without name":    {args: []string{"keys", "create"}, want: "name must be 1 to 120 characters"},
		"keys unknown plan":    {args: []string{"keys", "create", "--name=N", "--plan=gold"}, want: "plan must be starter, professional or enterprise"},
		"keys unknown mode":    {args: []string{"keys", "create", "--name=N", "--mode=demo"}, want: "mode must be live or test"},
		"keys unknown flag":    {args: []string{"keys", "create", "--nam=N"}, want: "did you mean --name"},
		"keys list of what":    {args: []string{"keys", "list", "all"}, want: `unexpected argument "all"`},
		"keys revoke nothing":  {args: []string{"keys", "revoke"}, want: "keys revoke takes one key id, as keys list shows it"},
		"keys revoke unknown":  {args: []string{"keys", "revoke", "key_0"}, want: "There is no key of this id."},
		"keys revoke two":      {args: []string{"keys", "revoke", "key_0", "key_1"}, want: `unexpected argument "key_1"`},
		"keys of other plan":   {args: []string{"keys", "revoke", "key_0", "--plan=starter"}, want: "unknown flag --plan"},
		"database unreachable": {args: []string{"serve", "--addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", "--database-url=postgres://u:hidden@127.0.0.1:1/x"}, want: "store: "},
	} {
		t.Run(name, func(t *testing.T) {
			r := execute(t, []string{c.env, "CHATMED_DATA_DIR=" + t.TempDir()}, c.args...)
			if r.code != 1 || r.out != "" || !strings.HasPrefix(r.complaint, "chatmed: ") || !strings.Contains(r.complaint, c.want) {
				t.Errorf("%+v", r)
			}
			if strings.Contains(r.complaint, "hidden") {
				t.Errorf("shows a password: %+v", r)
			}
		})
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"--help"}, {"serve", "-h"}, {"keys", "--help"}, {"keys", "create", "--help"}} {
		r := execute(t, nil, args...)
		if r.code != 0 || r.complaint != "" || !strings.Contains(r.out, "chatmed keys revoke ID") || !strings.Contains(r.out, "--udp-port") {
			t.Errorf("%v: %+v", args, r)
		}
	}
	if r := execute(t, nil, "version"); r.code != 0 || !regexp.MustCompile(`^chatmed \S+ go1\.\S+ \w+/\w+\n$`).MatchString(r.out) {
		t.Errorf("version: %+v", r)
	}
}

func TestTakenPort(t *testing.T) {
	srv := newServer(t)
	r := execute(t, []string{"CHATMED_DATA_DIR=" + t.TempDir()}, "serve", "--addr="+srv.addr(), "--admin-addr=127.0.0.1:0")
	if r.code != 1 || !strings.Contains(r.complaint, "is another server running? choose another address with --addr") {
		t.Errorf("%+v", r)
	}
	port := strings.TrimPrefix(srv.media.Candidates()[0].String(), "127.0.0.1:")
	r = execute(t, []string{"CHATMED_DATA_DIR=" + t.TempDir(), "CHATMED_NODE_IP=127.0.0.1", "CHATMED_UDP_PORT=" + port},
		"serve", "--addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0")
	if r.code != 1 || !strings.Contains(r.complaint, port) {
		t.Errorf("%+v", r)
	}
}

// TestDemoUntilSIGTERM runs the program as `make run` does and stops it as a
// service manager does.
func TestDemoUntilSIGTERM(t *testing.T) {
	cmd := program(t, []string{
		"CHATMED_DATA_DIR=" + t.TempDir(), "CHATMED_ADDR=127.0.0.1:0", "CHATMED_ADMIN_ADDR=127.0.0.1:0",
		"CHATMED_UDP_PORT=0", "CHATMED_NODE_IP=127.0.0.1",
	}, "demo")
	out, err := cmd.StdoutPipe()
	must(t, err)
	var log strings.Builder
	cmd.Stderr = &log
	must(t, cmd.Start())
	printed := demoOutput(t, out)

	url := regexp.MustCompile(`running at (http://localhost:\d+)`).FindStringSubmatch(printed)
	key := regexp.MustCompile(`sk_test_\S+`).FindString(printed)
	links := regexp.MustCompile(`http://\S+/room/vs_\S+role=(doctor|patient)#token=\S+`).FindAllString(printed, -1)
	if url == nil || key == "" || len(links) != 2 {
		t.Fatalf("demo prints:\n%s\n%s", printed, log.String())
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url[1]+"/api/v1/users/me", nil)
	must(t, err)
	req.Header.Set("X-API-Key", key)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	must(t, err)
	must(t, resp.Body.Close())
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the demo key gets %d", resp.StatusCode)
	}

	must(t, cmd.Process.Signal(syscall.SIGTERM))
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, log.String())
	}
	if !strings.Contains(log.String(), "msg=stopped") {
		t.Errorf("log:\n%s", log.String())
	}
	if token := regexp.MustCompile(`token=([^&\s]+)`).FindStringSubmatch(links[0])[1]; strings.Contains(log.String(), key) ||
		strings.Contains(log.String(), token) || strings.Contains(log.String(), "Haddad") {
		t.Errorf("the log tells secrets:\n%s", log.String())
	}
}

// demoOutput reads what the demo prints, to the link of the doctor.
func demoOutput(t *testing.T, out io.Reader) string {
	t.Helper()
	var printed strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		printed.WriteString(lines.Text() + "\n")
		if strings.HasPrefix(strings.TrimSpace(lines.Text()), "doctor ") {
			return printed.String()
		}
	}
	t.Fatalf("the demo ended after:\n%s", printed.String())
	return ""
}
