package recording

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	started   prometheus.Counter
	ended     *prometheus.CounterVec // by reason
	live      prometheus.Gauge
	gate      *prometheus.CounterVec // by what it did: open, shut
	decisions *prometheus.CounterVec // by decision
	unsaved   prometheus.Gauge
	spool     prometheus.Gauge
	retries   *prometheus.CounterVec // by step
	deleted   *prometheus.CounterVec // by why: request, retention
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "chatmed", Subsystem: "recording", Name: name, Help: help})
	}
	counter := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(
			prometheus.CounterOpts{Namespace: "chatmed", Subsystem: "recording", Name: name, Help: help}, []string{label})
	}
	m := &metrics{
		started: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "chatmed", Subsystem: "recording", Name: "started_total", Help: "Recordings started.",
		}),
		ended:     counter("ended_total", "Recordings ended.", "reason"),
		live:      gauge("live", "Segments being captured, open or not."),
		gate:      counter("gate_total", "Times the gate opened or shut.", "to"),
		decisions: counter("decisions_total", "What people said to being recorded.", "decision"),
		unsaved:   gauge("unsaved_withdrawals", "Withdrawals in force that the store has not taken yet."),
		spool:     gauge("spool_segments", "Finished segments that the blob store does not have yet."),
		retries:   counter("retries_total", "Steps that failed and are tried again.", "step"),
		deleted:   counter("deleted_total", "Recordings deleted.", "why"),
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		m.started, m.ended, m.live, m.gate, m.decisions, m.unsaved, m.spool, m.retries, m.deleted,
	} {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("recording: metrics: %w", err)
	}
	return m, nil
}
