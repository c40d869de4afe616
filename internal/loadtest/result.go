package loadtest

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"
)

// Result is what one run measured. Times are in milliseconds, sizes in bytes.
type Result struct {
	Target       string    `json:"target"`
	Version      string    `json:"version,omitempty"`
	Workload     string    `json:"workload"`
	Round        int       `json:"round"`
	At           time.Time `json:"at"`
	Rooms        int       `json:"rooms"`
	Participants int       `json:"participants"` // per room
	Publishers   int       `json:"publishers"`   // per room
	Profile      string    `json:"profile"`
	RED          bool      `json:"red"`
	Seconds      float64   `json:"seconds"`

	Join      JoinResult      `json:"join"`
	Latency   LatencyResult   `json:"latency"`
	Packets   PacketResult    `json:"packets"`
	Server    ServerResult    `json:"server"`
	Generator GeneratorResult `json:"generator"`

	// Saturated says that this machine could not keep up, so that the figures
	// tell about it rather than about the server; Why says how that shows.
	Saturated bool     `json:"saturated"`
	Why       []string `json:"why,omitempty"`
}

// JoinResult is measured from sending join, with socket and offer ready.
// FirstPacket counts only those who found media flowing in their room.
type JoinResult struct {
	Answered    Spread `json:"answered_ms"`
	FirstPacket Spread `json:"first_packet_ms"`
}

// Spread describes a set of times.
type Spread struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

// LatencyResult is one-way, from just before a packet is encrypted by its
// sender to just after it is decrypted by its receiver.
type LatencyResult struct {
	All   Spread `json:"all_ms"`
	Audio Spread `json:"audio_ms"`
	Video Spread `json:"video_ms"`
}

// PacketResult counts the packets of the window.
type PacketResult struct {
	Sent           uint64  `json:"sent"`
	Expected       uint64  `json:"expected"` // at all receivers; of a simulcast, what was received or missed
	Received       uint64  `json:"received"`
	Lost           uint64  `json:"lost"`
	LossPercent    float64 `json:"loss_percent"`
	Repeated       uint64  `json:"repeated"`
	Foreign        uint64  `json:"foreign"` // of another room, or none of ours
	PerSecond      float64 `json:"per_second"`
	MissingStreams int     `json:"missing_streams"` // that a receiver never got
}

// ServerResult is about the server's process.
type ServerResult struct {
	Known         bool    `json:"known"` // neither --pid nor --admin: false
	CPUUser       float64 `json:"cpu_user_seconds"`
	CPUSystem     float64 `json:"cpu_system_seconds"`
	CPUShare      float64 `json:"cpu_share"`       // of one core
	CPUPerMillion float64 `json:"cpu_per_million"` // CPU-seconds per million packets received: µs a packet
	RSSBefore     int64   `json:"rss_before"`
	RSS           int64   `json:"rss"`
	RSSPeak       int64   `json:"rss_peak"`
	// RSSPerParticipant is the whole process by participants;
	// RSSGrowth what it grew since before the first join.
	RSSPerParticipant float64 `json:"rss_per_participant"`
	RSSGrowth         float64 `json:"rss_growth_per_participant"`
	Goroutines        float64 `json:"goroutines,omitempty"`
	FDs               float64 `json:"fds,omitempty"`
}

// GeneratorResult is about this program and the machine.
type GeneratorResult struct {
	CPUUser     float64 `json:"cpu_user_seconds"`
	CPUSystem   float64 `json:"cpu_system_seconds"`
	CPUShare    float64 `json:"cpu_share"` // of one core
	RSS         int64   `json:"rss"`
	LagP50      float64 `json:"lag_p50_ms"` // how late frames left
	LagP99      float64 `json:"lag_p99_ms"`
	LatePercent float64 `json:"late_percent"` // of frames more than 20 ms late
	MachineIdle float64 `json:"machine_idle"` // share of all cores, whoever used them
	Cores       int     `json:"cores"`
	OtherShare  float64 `json:"other_share"` // cores used by neither server nor generator
}

const (
	tooManyLate  = 1.0  // per cent of frames
	tooBusy      = 0.03 // share of idle time below which everything waits
	tooManyOther = 0.15 // cores used by others
)

// label is the workload in a few characters.
func (o *Options) label() string {
	if o.Name != "" {
		return o.Name
	}
	return fmt.Sprintf("%dx%d %s", o.Rooms, o.Participants, o.Profile)
}

func ownPID() int { return os.Getpid() }

func (l *load) result(before usage, m measured, missing int) *Result {
	r := &Result{
		Target: l.o.Target, Version: l.o.Version, Workload: l.o.label(), Round: l.o.Round, At: time.Now().UTC(),
		Rooms: l.o.Rooms, Participants: l.o.Participants, Publishers: l.o.publishers(),
		Profile: l.o.Profile, RED: l.o.RED, Seconds: m.length.Seconds(),
	}
	r.Join = l.joinResult()
	r.Packets.MissingStreams = missing
	l.countPackets(r)
	r.Packets.PerSecond = float64(r.Packets.Received) / m.length.Seconds()
	if n := float64(len(l.clients)); m.serverKnown {
		s := &r.Server
		s.Known, s.CPUUser, s.CPUSystem = true, m.server.user, m.server.system
		s.CPUShare = m.server.cpu() / m.length.Seconds()
		if r.Packets.Received > 0 {
			s.CPUPerMillion = m.server.cpu() / float64(r.Packets.Received) * 1e6
		}
		s.RSSBefore, s.RSS, s.RSSPeak = before.rss, m.server.rss, m.server.peak
		s.RSSPerParticipant, s.RSSGrowth = float64(s.RSS)/n, float64(s.RSS-s.RSSBefore)/n
		s.Goroutines, s.FDs = m.server.goroutines, m.server.fds
	}
	l.judge(r, m)
	return r
}

func (l *load) joinResult() (r JoinResult) {
	var answered, first []time.Duration
	for i, j := range l.joins {
		answered = append(answered, j.answered-j.sent)
		if at, _ := l.clients[i].recv.state(); j.flowing && at > 0 {
			first = append(first, at-j.sent)
		}
	}
	return JoinResult{Answered: spreadOf(answered), FirstPacket: spreadOf(first)}
}

// countPackets compares what was sent with what each receiver got. Everyone had
// joined before the window, so all of it was for everyone of the room.
func (l *load) countPackets(r *Result) {
	var audio, video histogram
	p := &r.Packets
	sent := map[uint32]uint64{} // by room
	own := func(c *client) (n uint64) {
		if c.pub != nil {
			for _, s := range c.pub.streams() {
				n += s.sent.Load()
			}
		}
		return n
	}
	for _, c := range l.clients {
		sent[uint32(c.room)] += own(c)
		p.Sent += own(c)
	}
	var skipped uint64
	for _, c := range l.clients {
		p.Expected += sent[uint32(c.room)] - own(c)
		for _, s := range c.recv.sinks {
			if s.video {
				video.merge(&s.latency)
			} else {
				audio.merge(&s.latency)
			}
			p.Foreign += s.foreign
			for _, f := range s.flows {
				p.Received += f.received
				p.Repeated += f.repeated
				skipped += f.skipped
			}
		}
	}
	if l.profile.simulcast() { // which layers a receiver was to get is the server's choice
		p.Expected = p.Received + skipped
	}
	p.Lost = p.Expected - min(p.Received, p.Expected)
	if p.Expected > 0 {
		p.LossPercent = 100 * float64(p.Lost) / float64(p.Expected)
	}
	r.Latency.Audio, r.Latency.Video = audio.spread(), video.spread()
	audio.merge(&video)
	r.Latency.All = audio.spread()
}

// judge says whether the generator and the machine kept up.
func (l *load) judge(r *Result, m measured) {
	var lag histogram
	var planned, late uint64
	for _, c := range l.clients {
		if c.pub != nil {
			lag.merge(&c.pub.lag)
			planned += c.pub.planned.Load()
			late += c.pub.late.Load()
		}
	}
	g := &r.Generator
	g.CPUUser, g.CPUSystem, g.RSS = m.generator.user, m.generator.system, m.generator.rss
	g.CPUShare = m.generator.cpu() / m.length.Seconds()
	g.LagP50, g.LagP99, g.Cores = ms(lag.quantile(0.5)), ms(lag.quantile(0.99)), runtime.NumCPU()
	if planned > 0 {
		g.LatePercent = 100 * float64(late) / float64(planned)
	}
	if m.machine > 0 {
		g.MachineIdle = m.idle / m.machine
		used := (m.machine - m.idle) / m.length.Seconds()
		g.OtherShare = max(0, used-g.CPUShare-r.Server.CPUShare)
	}
	if g.LatePercent > tooManyLate {
		r.Why = append(r.Why, fmt.Sprintf("%.1f%% of frames left more than %v late", g.LatePercent, tooLate))
	}
	if m.machine > 0 && g.MachineIdle < tooBusy {
		r.Why = append(r.Why, fmt.Sprintf("the machine was idle for only %.1f%%", 100*g.MachineIdle))
	}
	r.Saturated = len(r.Why) > 0
	if m.machine > 0 && r.Server.Known && g.OtherShare > tooManyOther {
		r.Why = append(r.Why, fmt.Sprintf("other processes used %.2f cores", g.OtherShare))
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (h *histogram) spread() Spread {
	return Spread{
		Count: int(h.count), P50: ms(h.quantile(0.5)), P95: ms(h.quantile(0.95)),
		P99: ms(h.quantile(0.99)), Max: ms(h.max),
	}
}

// spreadOf describes few times exactly.
func spreadOf(all []time.Duration) Spread {
	if len(all) == 0 {
		return Spread{}
	}
	slices.Sort(all)
	at := func(q float64) float64 { return ms(all[min(int(q*float64(len(all))), len(all)-1)]) }
	return Spread{Count: len(all), P50: at(0.5), P95: at(0.95), P99: at(0.99), Max: ms(all[len(all)-1])}
}
