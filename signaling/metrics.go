package signaling

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Why the server cut a connection.
const (
	cutSlow     = "slow_reader"
	cutFlood    = "too_fast"
	cutTooLarge = "too_large"
	cutSilent   = "silent"
	cutFirst    = "no_join"
	cutMoved    = "moved"
)

type metrics struct {
	sessions prometheus.Gauge
	rooms    prometheus.Gauge
	received *prometheus.CounterVec // by type
	sent     *prometheus.CounterVec // by type
	refusals *prometheus.CounterVec // by error code
	cuts     *prometheus.CounterVec // by reason
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "chatmed", Subsystem: "signaling", Name: name, Help: help})
	}
	counter := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(
			prometheus.CounterOpts{Namespace: "chatmed", Subsystem: "signaling", Name: name, Help: help}, []string{label})
	}
	m := &metrics{
		sessions: gauge("sessions", "Open WebSocket connections."),
		rooms:    gauge("rooms", "Consultations with someone connected, or within a grace period."),
		received: counter("messages_received_total", "Client messages.", "type"),
		sent:     counter("messages_sent_total", "Server messages written.", "type"),
		refusals: counter("refusals_total", "Error messages sent.", "error"),
		cuts:     counter("cuts_total", "Connections the server cut.", "reason"),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.sessions, m.rooms, m.received, m.sent, m.refusals, m.cuts} {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("signaling: metrics: %w", err)
	}
	return m, nil
}
