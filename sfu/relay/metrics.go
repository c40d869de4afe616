package relay

import (
	"fmt"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// drop is why a datagram or message went no further.
type drop string

const (
	dropAmplification drop = "amplification" // a reply that its asker has not paid for
	dropMalformed     drop = "malformed"
	dropNoAllocation  drop = "no_allocation"
	dropNoPermission  drop = "no_permission"
	dropForbidden     drop = "forbidden" // not to one of our media addresses
	dropBehind        drop = "behind"    // the socket is more than 200 ms behind
	dropFull          drop = "queue_full"
	dropTooLarge      drop = "too_large"
	dropClosed        drop = "closed"
	dropUDP           drop = "udp_write"
	dropTooMany       drop = "too_many_connections"
	dropProtocol      drop = "protocol" // on ICE-TCP, neither STUN, DTLS nor media
)

var drops = []drop{
	dropAmplification, dropMalformed, dropNoAllocation, dropNoPermission, dropForbidden, dropBehind,
	dropFull, dropTooLarge, dropClosed, dropUDP, dropTooMany, dropProtocol,
}

// metrics counts. Hot counters are looked up once.
type metrics struct {
	reg       prometheus.Registerer
	all       []prometheus.Collector
	drops     map[drop]prometheus.Counter
	responses *prometheus.CounterVec
	in, out   [2]prometheus.Counter // datagrams; UDP, stream
	bytesIn   prometheus.Counter
	bytesOut  prometheus.Counter
	clients   *prometheus.GaugeVec // allocations, ice_tcp
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{reg: reg, drops: map[drop]prometheus.Counter{}}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "chatmed_relay_" + name, Help: help}, labels)
		m.all = append(m.all, v)
		return v
	}
	dropped := vec("drops_total", "Datagrams and replies dropped.", "reason")
	for _, d := range drops {
		m.drops[d] = dropped.WithLabelValues(string(d))
	}
	m.responses = vec("responses_total", "Responses to requests; code 0 is success.", "code")
	packets := vec("packets_total", "Datagrams relayed.", "direction", "transport")
	for i, transport := range []string{"udp", "stream"} {
		m.in[i], m.out[i] = packets.WithLabelValues("in", transport), packets.WithLabelValues("out", transport)
	}
	bytes := vec("bytes_total", "Payload bytes relayed.", "direction")
	m.bytesIn, m.bytesOut = bytes.WithLabelValues("in"), bytes.WithLabelValues("out")
	m.clients = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "chatmed_relay_clients", Help: "Clients with a virtual address."}, []string{"kind"})
	m.all = append(m.all, m.clients)
	if reg == nil {
		return m, nil
	}
	for i, c := range m.all {
		if err := reg.Register(c); err != nil {
			for _, done := range m.all[:i] {
				reg.Unregister(done)
			}
			return nil, fmt.Errorf("relay: register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) close() {
	if m.reg == nil {
		return
	}
	for _, c := range m.all {
		m.reg.Unregister(c)
	}
}

func (m *metrics) drop(d drop) { m.drops[d].Inc() }

func (m *metrics) response(code int) { m.responses.WithLabelValues(strconv.Itoa(code)).Inc() }

func (m *metrics) inbound(c client, n int) {
	m.in[transportOf(c)].Inc()
	m.bytesIn.Add(float64(n))
}

func (m *metrics) outbound(c client, n int) {
	m.out[transportOf(c)].Inc()
	m.bytesOut.Add(float64(n))
}

func transportOf(c client) int {
	if c.stream != nil {
		return 1
	}
	return 0
}
