package capture

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics of all recorders of a process.
type Metrics struct {
	written  *prometheus.CounterVec
	dropped  *prometheus.CounterVec
	bytes    prometheus.Counter
	failures *prometheus.CounterVec
	flush    prometheus.Histogram
}

// NewMetrics registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	const ns, sub = "chatmed", "recording"
	m := &Metrics{
		written: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "packets_written_total", Help: "Packets recorded.",
		}, []string{"kind"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "packets_dropped_total", Help: "Packets that were to be recorded and were not: the storage was too slow.",
		}, []string{"kind"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "written_bytes_total", Help: "Bytes written to recordings.",
		}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "captures_failed_total", Help: "Captures that the storage ended.",
		}, []string{"cause"}),
		flush: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: ns, Subsystem: sub, Name: "flush_seconds", Help: "Time to seal, write and sync a frame.",
			Buckets: []float64{.001, .003, .01, .03, .1, .3, 1, 3, 10},
		}),
	}
	reg.MustRegister(m.written, m.dropped, m.bytes, m.failures, m.flush)
	return m
}

func (m *Metrics) drop(kind string, n int) {
	if m != nil {
		m.dropped.WithLabelValues(kind).Add(float64(n))
	}
}

func (m *Metrics) fail(cause string) {
	if m != nil {
		m.failures.WithLabelValues(cause).Inc()
	}
}

func (m *Metrics) flushed(took time.Duration, bytes int64, audio, video int) {
	if m == nil {
		return
	}
	m.flush.Observe(took.Seconds())
	m.bytes.Add(float64(bytes))
	m.written.WithLabelValues("audio").Add(float64(audio))
	m.written.WithLabelValues("video").Add(float64(video))
}
