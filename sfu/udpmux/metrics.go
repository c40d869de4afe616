package udpmux

import "github.com/prometheus/client_golang/prometheus"

// collector shows a Conn's counters to Prometheus.
type collector Conn

// descs are the metrics' descriptions, all unique by name.
type descs struct {
	packets, bytes, calls, messages, segments, failures, errors, drops, limit, buffer *prometheus.Desc
}

func newDescs() descs {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("chatmed_udp_"+name, help, labels, nil)
	}
	return descs{
		packets:  d("packets_total", "Datagrams moved.", "direction"),
		bytes:    d("bytes_total", "Payload bytes moved.", "direction"),
		calls:    d("batch_packets", "Datagrams per system call.", "direction"),
		messages: d("segmented_messages_total", "Messages that the kernel cut into several datagrams."),
		segments: d("segments_total", "Datagrams that left in segmented messages."),
		failures: d("segmentation_failures_total", "Segmented messages refused by the kernel and sent again unsegmented."),
		errors:   d("receive_errors_total", "Errors of the socket survived while receiving."),
		drops:    d("drops_total", "Datagrams lost in this process or its socket.", "reason"),
		limit:    d("segments_limit", "Datagrams a message may carry at present; 1 when segmentation is off."),
		buffer:   d("socket_buffer_bytes", "Socket buffer granted by the kernel, 0 when unknown.", "direction"),
	}
}

// Describe implements prometheus.Collector.
func (k *collector) Describe(out chan<- *prometheus.Desc) {
	d := newDescs()
	for _, x := range []*prometheus.Desc{d.packets, d.bytes, d.calls, d.messages, d.segments, d.failures, d.errors, d.drops, d.limit, d.buffer} {
		out <- x
	}
}

// Collect implements prometheus.Collector.
func (k *collector) Collect(out chan<- prometheus.Metric) {
	d, c := newDescs(), (*Conn)(k)
	s := c.stats
	counter := func(desc *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(desc *prometheus.Desc, v int, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(v), labels...)
	}
	direction := func(name string, calls *histogram, packets, bytes uint64) {
		counter(d.packets, packets, name)
		counter(d.bytes, bytes, name)
		count, buckets := calls.snapshot()
		out <- prometheus.MustNewConstHistogram(d.calls, count, float64(packets), buckets, name)
	}
	direction("in", &s.recvCalls, s.packetsIn.Load(), s.bytesIn.Load())
	direction("out", &s.sendCalls, s.packetsOut.Load(), s.bytesOut.Load())
	counter(d.messages, s.segmented.Load())
	counter(d.segments, s.segments.Load())
	counter(d.failures, s.segmentFailures.Load())
	counter(d.errors, s.receiveErrors.Load())
	for r := range dropReasons {
		counter(d.drops, s.drops[r].Load(), r.String())
	}
	if c.gate.enter() { // the descriptor stays open while it is asked
		counter(d.drops, c.backend.kernelDrops(), "receive_buffer")
		c.gate.leave()
	}
	gauge(d.limit, c.Segments())
	gauge(d.buffer, c.info.ReadBuffer, "in")
	gauge(d.buffer, c.info.WriteBuffer, "out")
}
