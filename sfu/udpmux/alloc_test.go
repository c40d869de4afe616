package udpmux

import (
	"net/netip"
	"testing"
)

// The hot paths allocate nothing once the queues are there.
func TestNoAllocations(t *testing.T) {
	for _, addr := range []struct{ listen, host string }{{"127.0.0.1:0", "127.0.0.1"}, {"[::]:0", "::1"}} {
		for name, off := range fallbacks {
			t.Run(addr.listen+"/"+name, func(t *testing.T) {
				c, sink := listen(t, Config{Addr: addr.listen, Disable: off}), listen(t, Config{Addr: addr.listen, Disable: off})
				noAllocations(t, c, sink, at(sink, addr.host))
			})
		}
	}
}

func noAllocations(t *testing.T, c, sink *Conn, to netip.AddrPort) {
	p, buf := make([]byte, 1200), make([]byte, 8192)
	drain := func() {
		for range 10 {
			if _, _, err := sink.ReadFromAddrPort(buf); err != nil {
				t.Fatal(err)
			}
		}
	}
	batch := c.NewBatch()
	for name, write := range map[string]func(){
		"Batch.WriteTo": func() {
			for range 10 {
				_, _ = batch.WriteTo(p, to)
			}
			_ = batch.Flush()
		},
		"Batch.Commit": func() {
			for range 10 {
				_ = batch.Commit(len(batch.Reserve(len(p))), to)
			}
			_ = batch.Flush()
		},
		"Batch of one": func() {
			for range 10 {
				_, _ = batch.WriteTo(p, to)
				_ = batch.Flush()
			}
		},
		"at once": func() {
			for range 10 {
				_, _ = c.WriteToAddrPort(p, to)
			}
		},
	} {
		if n := testing.AllocsPerRun(100, func() { write(); drain() }); n != 0 {
			t.Errorf("%s and reading: %v allocations", name, n)
		}
	}
}
