package congestion

// simTCP is a transfer that fills the queue until it loses (RFC 5681 in short).
type simTCP struct {
	s      *sim
	link   *simLink
	window float64 // packets
	flight int
	slow   bool
	cutAt  int64
	until  int64
	got    int // bytes
}

func (c *simTCP) start(at, until int64) {
	c.window, c.slow, c.until = 2, true, until
	c.s.in(at-c.s.now, c.fill)
}

func (c *simTCP) fill() {
	for float64(c.flight) < c.window && c.s.now < c.until {
		c.flight++
		sent := c.s.now
		c.link.send(simPacket{size: 1400, sent: sent,
			deliver: func(int64, int64) { c.got += 1400; c.s.in(25_000, c.acked) },
			dropped: func() { c.s.in(100_000, func() { c.lost(sent) }) }})
	}
}

func (c *simTCP) acked() {
	c.flight--
	if c.slow {
		c.window++
	} else {
		c.window += 1 / c.window
	}
	c.fill()
}

func (c *simTCP) lost(sent int64) {
	c.flight--
	if sent > c.cutAt {
		c.cutAt, c.slow = c.s.now, false
		c.window = max(c.window/2, 2)
	}
	c.fill()
}

// simCBR sends at a fixed rate and listens to nobody.
func simCBR(s *sim, l *simLink, rate float64, from, to int64) {
	const size = 600
	s.in(from-s.now, func() {
		var step func()
		step = func() {
			if s.now >= to {
				return
			}
			l.send(simPacket{size: size, sent: s.now, deliver: func(int64, int64) {}, dropped: func() {}})
			s.in(int64(size*8e6/rate), step)
		}
		step()
	})
}
