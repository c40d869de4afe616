//go:build !linux

package udpmux

import (
	"log/slog"
	"net"
)

// vector is what a queue carries for sendmmsg where there is one.
type vector struct{}

func open(udp *net.UDPConn, _ family, cfg Config, st *stats, _ *limits, log *slog.Logger) (backend, Info, error) {
	if err := udp.SetReadBuffer(cfg.ReadBuffer); err != nil {
		log.Warn("udp receive buffer keeps the system's size", "wanted", cfg.ReadBuffer, "error", err)
	}
	if err := udp.SetWriteBuffer(cfg.WriteBuffer); err != nil {
		log.Warn("udp send buffer keeps the system's size", "wanted", cfg.WriteBuffer, "error", err)
	}
	return newPlainSocket(udp, st), Info{}, nil
}
