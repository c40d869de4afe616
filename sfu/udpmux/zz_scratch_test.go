package udpmux

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

type variant struct { name string; f func(); t []float64 }

func cpu() int64 {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts)
	return ts.Nano()
}

func BenchmarkZ(b *testing.B) {
	var vs []*variant
	add := func(n string, f func()) { vs = append(vs, &variant{name: n, f: f}) }
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c := benchConn(b, Disable{})
	s := c.backend.(*socket)
	to := sinks(b, 1)[0]
	p := make([]byte, benchSize)
	batch := c.NewBatch()
	add("batch1", func() {
			room := batch.Reserve(1200)
			_ = batch.Commit(copy(room, p), to)
			_ = batch.Flush()
	})
	add("nosyscall", func() {
			room := batch.Reserve(1200)
			_ = batch.Commit(copy(room, p), to)
			c.gate.enter()
			s.fill(batch.q, 0)
			s.count(batch.q.msgs)
			c.gate.leave()
			c.queues.put(batch.q)
			batch.q = nil
	})
	add("poolonly", func() {
			c.queues.put(c.queues.get())
	})
	add("gateonly", func() {
			c.gate.enter()
			c.gate.leave()
	})
	_ , _ = batch.WriteTo(p, to)
	q := batch.q
	s.fill(q, 0)
	add("sendmmsg1", func() {
			s.sendmmsg(q, 0)
	})
	add("sendmsg", func() {
			unix.RawSyscall6(unix.SYS_SENDMSG, uintptr(s.tx), uintptr(unsafe.Pointer(&q.vec.headers[0].hdr)), unix.MSG_DONTWAIT, 0, 0, 0)
	})
	add("sendto", func() {
			s.sendto(p, &q.vec.addrs[0], q.vec.headers[0].hdr.Namelen)
	})
	add("sendto-syscall", func() {
			unix.Syscall6(unix.SYS_SENDTO, uintptr(s.tx), uintptr(unsafe.Pointer(unsafe.SliceData(p))),
		uintptr(len(p)), unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&q.vec.addrs[0])), uintptr(q.vec.headers[0].hdr.Namelen))
	})
	add("getpid", func() {
			unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
	})
	r := s.read
	add("eagain-mmsg", func() {
			r.fetchOnce(uintptr(s.rx))
	})
	self := at(c, "127.0.0.1")
	var sa sockaddr
	l := encode(&sa, self, s.family, s.zones)
	ml := encode
	_ = ml
	recv := func(f func()) func() {
		return func() {
				s.sendto(p, &sa, l)
				f()
		}
	}
	add("send+recvmmsg32", recv(func() { r.rearm(0); r.fetchOnce(uintptr(s.rx)) }))
	add("send+recvmsg", recv(func() {
		r.rearm(0)
		unix.RawSyscall6(unix.SYS_RECVMSG, uintptr(s.rx), uintptr(unsafe.Pointer(&r.headers[0].hdr)), unix.MSG_DONTWAIT, 0, 0, 0)
	}))
	buf := make([]byte, 1<<16)
	add("send+recvfrom", recv(func() {
		var n uint32 = 28
		unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(s.rx), uintptr(unsafe.Pointer(&buf[0])), 1<<16, unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&n)))
	}))
	add("send+Read", recv(func() { c.ReadFromAddrPort(buf) }))
	add("rawread", func() {
			r.raw.Read(func(fd uintptr) bool { return true })
	})

	for range 150 {
		for _, v := range vs {
			v.f()
			t0 := cpu()
			for range 100 { v.f() }
			v.t = append(v.t, float64(cpu()-t0)/100)
		}
	}
	for _, v := range vs {
		slices.Sort(v.t)
		fmt.Printf("%-20s min %6.0f  p10 %6.0f p50 %6.0f\n", v.name, v.t[0], v.t[len(v.t)/10], v.t[len(v.t)/2])
	}
}
