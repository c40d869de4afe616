package sfu

import (
	"log/slog"

	"github.com/pion/logging"
	"github.com/prometheus/client_golang/prometheus"
)

// dropReason says why a packet was not forwarded.
type dropReason int

const (
	dropNoKeys dropReason = iota
	dropDecrypt
	dropUnknownStream
	dropNotNew
	dropPayload
	dropNoCodec
	dropEncrypt
	dropReasons
)

func (d dropReason) String() string {
	return [...]string{"no_keys", "decrypt", "unknown_stream", "not_new", "payload", "no_codec", "encrypt"}[d]
}

type metrics struct {
	joins, leaves, replacements prometheus.Counter
	packetsIn, packetsOut       prometheus.Counter
	nacksIn, nacksOut, resent   prometheus.Counter
	keyFrameRequests            prometheus.Counter
	probes, overuses            prometheus.Counter
	dropped                     [dropReasons]prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, s *SFU) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "chatmed", Subsystem: "sfu", Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	m := &metrics{
		joins:            counter("joins_total", "Participants that joined the media."),
		leaves:           counter("leaves_total", "Participants that left the media."),
		replacements:     counter("replacements_total", "Connections replaced within a session."),
		packetsIn:        counter("packets_received_total", "RTP packets received and decrypted."),
		packetsOut:       counter("packets_forwarded_total", "RTP packets encrypted and queued."),
		nacksIn:          counter("nacks_received_total", "Packets receivers asked for again."),
		nacksOut:         counter("nacks_sent_total", "Requests for missing packets."),
		resent:           counter("packets_resent_total", "Packets sent again over RTX."),
		keyFrameRequests: counter("key_frame_requests_total", "PLI and FIR sent."),
		probes:           counter("probes_total", "Probes of a client's link begun."),
		overuses:         counter("overuses_total", "Times less was sent to a client at once: a queue grew, or the link carried less than was sent."),
	}
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "chatmed", Subsystem: "sfu", Name: "packets_dropped_total", Help: "RTP packets not forwarded, by reason.",
	}, []string{"reason"})
	reg.MustRegister(dropped)
	for i := range m.dropped {
		m.dropped[i] = dropped.WithLabelValues(dropReason(i).String())
	}
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "chatmed", Subsystem: "sfu", Name: "rooms", Help: "Rooms with media.",
	}, func() float64 {
		s.mu.Lock()
		defer s.mu.Unlock()
		return float64(len(s.rooms))
	}))
	return m
}

func (m *metrics) drop(r dropReason) { m.dropped[r].Inc() }

// pionLogger passes Pion's errors on to slog and drops the rest: its warnings
// can be caused by anybody who sends us a datagram.
func pionLogger(log *slog.Logger) logging.LoggerFactory { return pionFactory{log} }

type pionFactory struct{ log *slog.Logger }

func (f pionFactory) NewLogger(scope string) logging.LeveledLogger {
	return pionLog{f.log.With("pion", scope)}
}

type pionLog struct{ log *slog.Logger }

func (pionLog) Trace(string)          {}
func (pionLog) Tracef(string, ...any) {}
func (pionLog) Debug(string)          {}
func (pionLog) Debugf(string, ...any) {}
func (pionLog) Info(string)           {}
func (pionLog) Infof(string, ...any)  {}
func (pionLog) Warn(string)           {}
func (pionLog) Warnf(string, ...any)  {}
func (l pionLog) Error(msg string)    { l.log.Debug(msg) }
func (l pionLog) Errorf(format string, _ ...any) {
	l.log.Debug(format) // without the arguments: they may carry addresses
}
