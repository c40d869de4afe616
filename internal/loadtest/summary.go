package loadtest

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
)

// Summary puts the runs of a benchmark together.
type Summary struct {
	Workloads []WorkloadSummary `json:"workloads"`
	Ratios    []Ratio           `json:"ratios,omitempty"`
}

// WorkloadSummary is one workload on one target over all rounds.
type WorkloadSummary struct {
	Workload    string `json:"workload"`
	Target      string `json:"target"`
	Version     string `json:"version,omitempty"`
	Runs        int    `json:"runs"`
	Saturated   int    `json:"saturated"` // runs
	CPU         Median `json:"cpu_per_million"`
	LatencyP50  Median `json:"latency_p50_ms"`
	LatencyP99  Median `json:"latency_p99_ms"`
	Loss        Median `json:"loss_percent"`
	FirstPacket Median `json:"first_packet_p50_ms"`
	FirstP95    Median `json:"first_packet_p95_ms"`
	RSS         Median `json:"rss_per_participant"`
	RSSGrowth   Median `json:"rss_growth_per_participant"`
	Rate        Median `json:"packets_per_second"`
	Generator   Median `json:"generator_cpu_share"`
}

// Ratio compares two targets on a workload, round by round: what ours used by
// what the peer used. Below 1 is better.
type Ratio struct {
	Workload    string `json:"workload"`
	Peer        string `json:"peer"`
	Pairs       int    `json:"pairs"`
	CPU         Median `json:"cpu"`
	LatencyP50  Median `json:"latency_p50"`
	LatencyP99  Median `json:"latency_p99"`
	FirstPacket Median `json:"first_packet"`
	RSS         Median `json:"rss_per_participant"`
}

// Median is the middle of some values and how far they spread.
type Median struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func medianOf(values []float64) Median {
	if len(values) == 0 {
		return Median{}
	}
	s := slices.Sorted(slices.Values(values))
	m := s[len(s)/2]
	if len(s)%2 == 0 {
		m = (s[len(s)/2-1] + m) / 2
	}
	return Median{Median: m, Min: s[0], Max: s[len(s)-1]}
}

// ReadResults reads the files that runs wrote.
func ReadResults(files []string) ([]Result, error) {
	var all []Result
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var r Result
		if err := json.Unmarshal(b, &r); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if r.Workload == "" || r.Target == "" {
			return nil, fmt.Errorf("%s is no result of a load test", name)
		}
		all = append(all, r)
	}
	return all, nil
}

// Summarise groups results by workload and target, in the order they come in,
// and pairs our runs with each peer's of the same round.
func Summarise(all []Result) Summary {
	type group struct{ workload, target string }
	var order []group
	runs := map[group][]Result{}
	for _, r := range all {
		g := group{r.Workload, r.Target}
		if runs[g] == nil {
			order = append(order, g)
		}
		runs[g] = append(runs[g], r)
	}
	var s Summary
	for _, g := range order {
		s.Workloads = append(s.Workloads, summaryOf(runs[g]))
		if g.target != TargetChatMed {
			if ratio := ratioOf(runs[group{g.workload, TargetChatMed}], runs[g]); ratio.Pairs > 0 {
				s.Ratios = append(s.Ratios, ratio)
			}
		}
	}
	return s
}

func summaryOf(runs []Result) WorkloadSummary {
	pick := func(of func(*Result) float64) Median {
		var v []float64
		for i := range runs {
			v = append(v, of(&runs[i]))
		}
		return medianOf(v)
	}
	s := WorkloadSummary{
		Workload: runs[0].Workload, Target: runs[0].Target, Version: runs[0].Version, Runs: len(runs),
		CPU:         pick(func(r *Result) float64 { return r.Server.CPUPerMillion }),
		LatencyP50:  pick(func(r *Result) float64 { return r.Latency.All.P50 }),
		LatencyP99:  pick(func(r *Result) float64 { return r.Latency.All.P99 }),
		Loss:        pick(func(r *Result) float64 { return r.Packets.LossPercent }),
		FirstPacket: pick(func(r *Result) float64 { return r.Join.FirstPacket.P50 }),
		FirstP95:    pick(func(r *Result) float64 { return r.Join.FirstPacket.P95 }),
		RSS:         pick(func(r *Result) float64 { return r.Server.RSSPerParticipant }),
		RSSGrowth:   pick(func(r *Result) float64 { return r.Server.RSSGrowth }),
		Rate:        pick(func(r *Result) float64 { return r.Packets.PerSecond }),
		Generator:   pick(func(r *Result) float64 { return r.Generator.CPUShare }),
	}
	for _, r := range runs {
		if r.Saturated {
			s.Saturated++
		}
	}
	return s
}

func ratioOf(ours, peers []Result) Ratio {
	out := Ratio{Workload: peers[0].Workload, Peer: peers[0].Target}
	var cpu, p50, p99, first, rss []float64
	for i := range peers {
		p := &peers[i]
		at := slices.IndexFunc(ours, func(r Result) bool { return r.Round == p.Round })
		if at < 0 {
			continue
		}
		o := &ours[at]
		out.Pairs++
		for _, v := range []struct {
			into        *[]float64
			ours, peers float64
		}{
			{&cpu, o.Server.CPUPerMillion, p.Server.CPUPerMillion},
			{&p50, o.Latency.All.P50, p.Latency.All.P50},
			{&p99, o.Latency.All.P99, p.Latency.All.P99},
			{&first, o.Join.FirstPacket.P50, p.Join.FirstPacket.P50},
			{&rss, o.Server.RSSPerParticipant, p.Server.RSSPerParticipant},
		} {
			if v.ours > 0 && v.peers > 0 {
				*v.into = append(*v.into, v.ours/v.peers)
			}
		}
	}
	out.CPU, out.LatencyP50, out.LatencyP99 = medianOf(cpu), medianOf(p50), medianOf(p99)
	out.FirstPacket, out.RSS = medianOf(first), medianOf(rss)
	return out
}

// Print writes the summary for people.
func (s *Summary) Print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "workload\ttarget\truns\tµs a packet\tlatency p50 ms\tp99 ms\tloss %\tfirst packet p50 ms\tp95 ms\tMiB a participant\tgrown\tpackets/s\tgenerator cores\t")
	for _, x := range s.Workloads {
		note := ""
		if x.Saturated > 0 {
			note = fmt.Sprintf("saturated in %d", x.Saturated)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.0f\t%.2f\t%s\n", x.Workload, x.Target, x.Runs,
			x.CPU.text(1), x.LatencyP50.text(2), x.LatencyP99.text(2), x.Loss.text(3), x.FirstPacket.text(0), x.FirstP95.text(0),
			x.RSS.by(mebibyte).text(2), x.RSSGrowth.by(mebibyte).text(2), x.Rate.Median, x.Generator.Median, note)
	}
	if len(s.Ratios) > 0 {
		fmt.Fprintln(w, "\nratio to\tworkload\tpairs\tCPU\tlatency p50\tp99\tfirst packet\tmemory\t")
	}
	for _, r := range s.Ratios {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t\n", r.Peer, r.Workload, r.Pairs,
			r.CPU.text(2), r.LatencyP50.text(2), r.LatencyP99.text(2), r.FirstPacket.text(2), r.RSS.text(2))
	}
	return w.Flush()
}

// text is the median, and the spread of more than one value.
func (m Median) text(digits int) string {
	if m.Min == m.Max {
		return fmt.Sprintf("%.*f", digits, m.Median)
	}
	return fmt.Sprintf("%.*f (%.*f–%.*f)", digits, m.Median, digits, m.Min, digits, m.Max)
}

func (m Median) by(d float64) Median { return Median{m.Median / d, m.Min / d, m.Max / d} }
