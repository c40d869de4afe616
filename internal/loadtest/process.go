package loadtest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// ticksPerSecond of /proc/*/stat: USER_HZ is 100 on every architecture Go
// builds for.
const ticksPerSecond = 100

// usage is what a process has used so far.
type usage struct {
	user, system float64 // CPU seconds
	exact        float64 // both, to the nanosecond; 0: unknown
	rss, peak    int64   // bytes; 0: unknown
	goroutines   float64 // 0: unknown
	fds          float64
	heap         float64 // bytes in use
	forwarded    float64 // packets, by the server's own count
}

// cpu is all CPU seconds, as exactly as they are known.
func (u usage) cpu() float64 {
	if u.exact > 0 {
		return u.exact
	}
	return u.user + u.system
}

// meter reads a process by its id, and by its metrics page.
type meter struct {
	pid   int
	admin string
	http  *http.Client
}

func newMeter(pid int, admin string) *meter {
	return &meter{pid: pid, admin: strings.TrimSuffix(admin, "/"), http: &http.Client{Timeout: requestTimeout, Transport: &http.Transport{}}}
}

func (m *meter) known() bool { return m.pid != 0 || m.admin != "" }

// light reads what costs the process nothing: /proc when the id is known.
func (m *meter) light(ctx context.Context) (usage, error) {
	if m.pid == 0 {
		return m.full(ctx)
	}
	var u usage
	err := u.readProc(m.pid)
	return u, err
}

// full reads the metrics page too.
func (m *meter) full(ctx context.Context) (u usage, err error) {
	if m.admin != "" {
		if err := m.scrape(ctx, &u); err != nil {
			return u, err
		}
	}
	if m.pid != 0 {
		err = u.readProc(m.pid)
	}
	return u, err
}

func (m *meter) close() { m.http.CloseIdleConnections() }

func (u *usage) readProc(pid int) error {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return err
	}
	if u.user, u.system, err = cpuOfStat(stat); err != nil {
		return err
	}
	if cpu, ok := cpuClock(pid); ok {
		u.exact = cpu.Seconds()
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return err
	}
	u.rss, u.peak = kilobytes(status, "VmRSS:"), kilobytes(status, "VmHWM:")
	return nil
}

// cpuOfStat reads utime and stime, fields 14 and 15 (proc(5)). The name in the
// second may hold blanks and parentheses.
func cpuOfStat(stat []byte) (user, system float64, err error) {
	i := bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[i+1:]))
	if i < 0 || len(fields) < 13 {
		return 0, 0, fmt.Errorf("no process statistics in %q", stat)
	}
	ut, err1 := strconv.ParseFloat(fields[11], 64)
	st, err2 := strconv.ParseFloat(fields[12], 64)
	if err1 != nil || err2 != nil {
		return 0, 0, fmt.Errorf("no times in %q", stat)
	}
	return ut / ticksPerSecond, st / ticksPerSecond, nil
}

func kilobytes(status []byte, name string) int64 {
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				n, _ := strconv.ParseInt(f[0], 10, 64) // the kernel writes a number
				return n << 10
			}
		}
	}
	return 0
}

func (m *meter) scrape(ctx context.Context, u *usage) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.admin+"/metrics", nil)
	if err != nil {
		return err
	}
	resp, err := m.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("metrics: %s", resp.Status)
	}
	return u.readMetrics(resp.Body)
}

// readMetrics reads the text exposition format as far as it matters here.
func (u *usage) readMetrics(r io.Reader) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		name, text, _ := strings.Cut(lines.Text(), " ")
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			continue
		}
		switch name {
		case "process_cpu_seconds_total":
			u.user = v // with the system's; /proc tells them apart
		case "process_resident_memory_bytes":
			u.rss = int64(v)
		case "go_goroutines":
			u.goroutines = v
		case "process_open_fds":
			u.fds = v
		case "go_memstats_heap_inuse_bytes":
			u.heap = v
		case "chatmed_sfu_packets_forwarded_total":
			u.forwarded = v
		}
	}
	return lines.Err()
}

// machineTimes are the CPU seconds of all cores: all and idle.
func machineTimes() (total, idle float64) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	for i, f := range strings.Fields(string(line))[1:] {
		v, _ := strconv.ParseFloat(f, 64) // the kernel writes numbers
		if i < 8 {                        // guest times are in user's already
			total += v / ticksPerSecond
		}
		if i == 3 || i == 4 {
			idle += v / ticksPerSecond
		}
	}
	return total, idle
}

// waitUntil waits for a moment of the run's clock.
func waitUntil(ctx context.Context, w *window, at time.Duration) error {
	t := time.NewTimer(at - w.now())
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// since makes the CPU times those since an earlier look.
func (u *usage) since(before usage) {
	u.user -= before.user
	u.system -= before.system
	u.exact -= before.exact
}
