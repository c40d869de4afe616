package udpmux

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// gather returns counters and gauges by name and label value, and the
// histograms' sample counts.
func gather(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := strings.TrimPrefix(f.GetName(), "chatmed_udp_")
			for _, l := range m.GetLabel() {
				name += "." + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return got
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	c, err := Listen(Config{Addr: "127.0.0.1:0"}, nil, reg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if other, err := Listen(Config{Addr: "127.0.0.1:0"}, nil, reg); err == nil {
		_ = other.Close()
		t.Fatal("two sockets share their metrics")
	}
	self := at(c, "127.0.0.1")
	batch := c.NewBatch()
	for range 10 {
		_, _ = batch.WriteTo(make([]byte, 100), self)
	}
	_ = batch.Flush()
	buf := make([]byte, 100)
	for range 10 {
		if _, _, err := c.ReadFromAddrPort(buf); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = c.WriteToAddrPort(make([]byte, maxDatagram+1), self)
	got := gather(t, reg)
	for name, want := range map[string]float64{
		"packets_total.in": 10, "packets_total.out": 10, "bytes_total.in": 1000, "bytes_total.out": 1000,
		"batch_packets.out": 1, "batch_packets.in": 1, "segmented_messages_total": 1, "segments_total": 10,
		"segmentation_failures_total": 0, "receive_errors_total": 0, "segments_limit": 16,
		"drops_total.too_large": 1, "drops_total.send_buffer": 0, "drops_total.receive_buffer": 0,
		"socket_buffer_bytes.in": float64(c.Info().ReadBuffer), "socket_buffer_bytes.out": float64(c.Info().WriteBuffer),
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v (%v), want %v", name, v, ok, want)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if got := gather(t, reg); len(got) != 0 {
		t.Errorf("a closed socket still has metrics: %v", got)
	}
}

// What the kernel drops because nobody reads is seen too.
func TestKernelDropsAreCounted(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	c, err := Listen(Config{Addr: "127.0.0.1:0", ReadBuffer: 4096}, nil, reg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for range 100 {
		_, _ = c.WriteToAddrPort(make([]byte, 1200), at(c, "127.0.0.1"))
	}
	if got := gather(t, reg)["drops_total.receive_buffer"]; got < 50 {
		t.Errorf("%v drops seen", got)
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	for _, n := range []int{0, 1, 2, 3, 4, 512, 513} {
		h.observe(n)
	}
	count, buckets := h.snapshot()
	if count != 6 {
		t.Errorf("count %d", count)
	}
	for bound, want := range map[float64]uint64{1: 1, 2: 2, 4: 4, 256: 4, 512: 5} {
		if buckets[bound] != want {
			t.Errorf("%d up to %v, want %d", buckets[bound], bound, want)
		}
	}
}
