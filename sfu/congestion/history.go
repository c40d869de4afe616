package congestion

// packetState is what is known of a packet.
type packetState uint8

const (
	unknown packetState = iota
	underWay
	lost
	received
)

// sentPacket is a packet that may still be reported on.
type sentPacket struct {
	sent     int64 // µs
	size     uint16
	sequence uint16
	kind     Kind
	cluster  uint8
	state    packetState
}

// Bounds of the history, in packets, powers of two. It grows while a packet
// would be forgotten that may still be reported on.
const (
	minHistory = 256
	maxHistory = 8192
	keepFor    = 10_000_000 // µs
)

// history is the packets sent, by transport-wide number.
type history struct {
	ring []sentPacket
}

func (h *history) init() { h.ring = make([]sentPacket, minHistory) }

func (h *history) slot(seq uint16) *sentPacket { return &h.ring[int(seq)&(len(h.ring)-1)] }

func (h *history) add(p Sent, size int, now int64) {
	s := h.slot(p.Sequence)
	if s.state == underWay && now-s.sent < keepFor && len(h.ring) < maxHistory {
		h.grow()
		s = h.slot(p.Sequence)
	}
	*s = sentPacket{sent: now, size: uint16(size), sequence: p.Sequence, kind: p.Kind, cluster: p.Cluster, state: underWay}
}

func (h *history) grow() {
	old := h.ring
	h.ring = make([]sentPacket, 2*len(old))
	for i := range old {
		if old[i].state != unknown {
			*h.slot(old[i].sequence) = old[i]
		}
	}
}

// get returns the packet of a number, nil when it is not known (any more).
func (h *history) get(seq uint16) *sentPacket {
	s := h.slot(seq)
	if s.state == unknown || s.sequence != seq {
		return nil
	}
	return s
}
