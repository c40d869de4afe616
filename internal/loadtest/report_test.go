package loadtest

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func valid() Options {
	return Options{
		Target: TargetChatMed, URL: "http://127.0.0.1:8080", Key: "k", Rooms: 1, Participants: 2,
		Profile: ProfileCamera, Duration: time.Second,
	}
}

func TestOptions(t *testing.T) {
	o := valid()
	if err := o.check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Options){
		"remote server":  func(o *Options) { o.URL = "http://192.0.2.1" },
		"remote name":    func(o *Options) { o.URL = "http://example.org" },
		"remote metrics": func(o *Options) { o.Admin = "http://192.0.2.1:9090" },
		"no key":         func(o *Options) { o.Key = "" },
		"no URL":         func(o *Options) { o.URL = "" },
		"target":         func(o *Options) { o.Target = "other" },
		"alone":          func(o *Options) { o.Participants = 1 },
		"no rooms":       func(o *Options) { o.Rooms = 0 },
		"too many":       func(o *Options) { o.Rooms, o.Participants = 500, 500 },
		"publishers":     func(o *Options) { o.Publishers = 3 },
		"profile":        func(o *Options) { o.Profile = "hologram" },
		"duration":       func(o *Options) { o.Duration = 0 },
	} {
		o := valid()
		spoil(&o)
		if o.check() == nil {
			t.Errorf("%s passes", name)
		}
	}
	o = valid()
	o.URL, o.AllowRemote = "https://example.org", true
	if err := o.check(); err != nil {
		t.Error(err)
	}
}

func TestMediaComesFromTheAddressAskedFor(t *testing.T) {
	o := valid()
	if !o.mediaFrom([]byte{127, 0, 0, 1}) || o.mediaFrom([]byte{192, 0, 2, 1}) {
		t.Error("not loopback by default")
	}
	o.MediaIP = netip.MustParseAddr("192.0.2.1")
	if o.mediaFrom([]byte{127, 0, 0, 1}) || !o.mediaFrom([]byte{192, 0, 2, 1}) {
		t.Error("not the address asked for")
	}
}

func TestSourcesSeen(t *testing.T) {
	o := valid()
	o.Participants, o.Publishers = 4, 1
	if o.sources(0) != 0 || o.sources(3) != 1 {
		t.Error("one to many")
	}
	o.Publishers = 0
	if o.sources(0) != 3 || o.sources(3) != 3 {
		t.Error("everyone to everyone")
	}
}

func TestProcessReadings(t *testing.T) {
	user, system, err := cpuOfStat([]byte("12 (a b) c) S 1 1 1 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 9 0 1 1 1"))
	if err != nil || user != 2.5 || system != 0.5 {
		t.Errorf("%v %v %v", user, system, err)
	}
	for _, bad := range []string{"", "12", "1 (a) S 1 2", "1 (a) S 1 1 1 0 -1 0 1 0 0 0 x y 0"} {
		if _, _, err := cpuOfStat([]byte(bad)); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
	if n := kilobytes([]byte("Name:\tx\nVmHWM:\t  20 kB\nVmRSS:\t   12 kB\n"), "VmRSS:"); n != 12<<10 {
		t.Error(n)
	}
	var u usage
	err = u.readMetrics(strings.NewReader("# HELP x y\nprocess_cpu_seconds_total 1.5\ngo_goroutines 7\nprocess_open_fds 9\n" +
		"process_resident_memory_bytes 1.048576e+06\nother{a=\"b\"} 3\nbroken\n"))
	if err != nil || u.cpu() != 1.5 || u.goroutines != 7 || u.fds != 9 || u.rss != mebibyte {
		t.Errorf("%+v %v", u, err)
	}
	if err := u.readProc(os.Getpid()); err != nil || u.rss == 0 || u.cpu() <= 0 {
		t.Errorf("this process: %+v %v", u, err)
	}
	if total, idle := machineTimes(); total <= 0 || idle > total {
		t.Errorf("the machine: %v %v", total, idle)
	}
}

func run(target, workload string, round int, cpu float64) Result {
	r := Result{Target: target, Workload: workload, Round: round}
	r.Server.CPUPerMillion, r.Server.RSSPerParticipant = cpu, 2*mebibyte
	r.Latency.All.P50, r.Join.FirstPacket.P50 = cpu/100, 0
	return r
}

func TestSummary(t *testing.T) {
	all := []Result{
		run(TargetChatMed, "1x2", 1, 30), run(TargetJanus, "1x2", 1, 100),
		run(TargetChatMed, "1x2", 2, 50), run(TargetJanus, "1x2", 2, 100),
		run(TargetChatMed, "1x2", 3, 10), run(TargetJanus, "1x2", 3, 100),
		run(TargetChatMed, "5x2", 1, 10), run(TargetJanus, "5x2", 9, 10),
	}
	all[2].Saturated = true
	var files []string
	for i, r := range all {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, filepath.Join(t.TempDir(), string(rune('a'+i))))
		if err := os.WriteFile(files[i], b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, err := ReadResults(files)
	if err != nil {
		t.Fatal(err)
	}
	s := Summarise(all)
	if len(s.Workloads) != 4 || s.Workloads[0].CPU != (Median{30, 10, 50}) || s.Workloads[0].Saturated != 1 || s.Workloads[0].Runs != 3 {
		t.Errorf("%+v", s.Workloads)
	}
	if len(s.Ratios) != 1 || s.Ratios[0].Pairs != 3 || s.Ratios[0].CPU != (Median{0.3, 0.1, 0.5}) || s.Ratios[0].FirstPacket != (Median{}) {
		t.Errorf("%+v", s.Ratios)
	}
	var out strings.Builder
	if err := s.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"30.0 (10.0–50.0)", "saturated in 1", "0.30 (0.10–0.50)", "janus"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if m := medianOf([]float64{4, 1, 2, 3}); m.Median != 2.5 {
		t.Errorf("median of four %v", m)
	}
	if _, err := ReadResults([]string{filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("a file that is not there passes")
	}
}

func TestSoakGrowth(t *testing.T) {
	k := soak{}
	for i := range 8 {
		s := SoakSample{Joins: 10 * i, RSS: 100, Goroutines: 10, CPUPerJoin: float64(100 * i)}
		if i >= 6 {
			s.RSS = 150
		}
		k.result.Samples = append(k.result.Samples, s)
	}
	k.judge()
	if g := k.result.Growth; g.RSS != 1.5 || g.Goroutines != 1 || g.FDs != 0 {
		t.Errorf("%+v", g)
	}
	if k.result.Samples[0].CPUPerJoin != 0 || k.result.Samples[7].CPUPerJoin != 10 {
		t.Errorf("%+v", k.result.Samples)
	}
}
