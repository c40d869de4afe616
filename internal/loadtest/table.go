package loadtest

import (
	"fmt"
	"io"
	"text/tabwriter"
)

const mebibyte = 1 << 20

// Print writes the result for people.
func (r *Result) Print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%s\t"+format+"\n", append([]any{name}, args...)...)
	}
	row("load", "%s: %d rooms × %d, %d publishing each, %s, %.1f s, on %s", r.Workload, r.Rooms, r.Participants, r.Publishers, r.Profile, r.Seconds, r.Target)
	row("packets", "%d sent, %d received (%.0f/s), %d lost (%.3f%%), %d repeated, %d foreign, %d streams missing",
		r.Packets.Sent, r.Packets.Received, r.Packets.PerSecond, r.Packets.Lost, r.Packets.LossPercent,
		r.Packets.Repeated, r.Packets.Foreign, r.Packets.MissingStreams)
	row("join → answer", "%s", r.Join.Answered)
	row("join → first packet", "%s", r.Join.FirstPacket)
	row("latency", "%s", r.Latency.All)
	row("  audio", "%s", r.Latency.Audio)
	if r.Latency.Video.Count > 0 {
		row("  video", "%s", r.Latency.Video)
	}
	if s := r.Server; s.Known {
		row("server CPU", "%.1f s per million packets (%.2f user + %.2f system, %.0f%% of a core)",
			s.CPUPerMillion, s.CPUUser, s.CPUSystem, 100*s.CPUShare)
		row("server memory", "%.1f MiB, %.2f MiB a participant, %.2f grown since before; peak %.1f MiB",
			float64(s.RSS)/mebibyte, s.RSSPerParticipant/mebibyte, s.RSSGrowth/mebibyte, float64(s.RSSPeak)/mebibyte)
	} else {
		row("server", "unknown: give --pid or --admin")
	}
	g := r.Generator
	row("generator", "%.0f%% of a core, %.1f MiB, frames late by p50 %.2f ms, p99 %.2f ms; machine idle %.0f%% of %d cores, others used %.2f",
		100*g.CPUShare, float64(g.RSS)/mebibyte, g.LagP50, g.LagP99, 100*g.MachineIdle, g.Cores, g.OtherShare)
	for i, why := range r.Why {
		name := ""
		if i == 0 {
			name = "beware"
			if r.Saturated {
				name = "SATURATED"
			}
		}
		row(name, "%s", why)
	}
	return w.Flush()
}

func (s Spread) String() string {
	if s.Count == 0 {
		return "–"
	}
	return fmt.Sprintf("p50 %.2f ms, p95 %.2f, p99 %.2f, max %.2f (%d)", s.P50, s.P95, s.P99, s.Max, s.Count)
}
