package udpmux

import (
	"errors"
	"math/bits"
	"os"
	"sync/atomic"
	"syscall"
)

// dropReason says why a packet was lost here.
type dropReason int

const (
	dropSendBuffer  dropReason = iota // the socket or the device had no room
	dropUnreachable                   // no route, or the interface is down
	dropForbidden                     // refused by the machine's packet filter
	dropTooLarge                      // larger than a datagram, or than the path takes
	dropDestination                   // no address or port, or of a family the socket lacks
	dropClosed                        // sent after Close
	dropSendError                     // any other failure to send
	dropTruncated                     // received, larger than the reader's buffer
	dropReasons
)

// String is the value of the metric's label.
func (r dropReason) String() string {
	return [dropReasons]string{
		"send_buffer", "unreachable", "forbidden", "too_large", "destination", "closed", "send_error", "truncated",
	}[r]
}

// reasonOf sorts the errors of sending.
func reasonOf(err error) dropReason {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return dropSendBuffer
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return dropSendError
	}
	return reasonOfErrno(errno)
}

func reasonOfErrno(errno syscall.Errno) dropReason {
	switch errno {
	case syscall.EAGAIN, syscall.ENOBUFS, syscall.ENOMEM:
		return dropSendBuffer
	case syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EADDRNOTAVAIL:
		return dropUnreachable
	case syscall.EPERM, syscall.EACCES:
		return dropForbidden
	case syscall.EMSGSIZE:
		return dropTooLarge
	default:
		return dropSendError
	}
}

// histogramBuckets are powers of two: 1, 2, 4 … 512 packets a call.
const histogramBuckets = 10

// histogram counts system calls by how many packets they moved. The sum is kept
// elsewhere: it is the packets moved.
type histogram [histogramBuckets + 1]atomic.Uint64 // the last is what is larger

func (h *histogram) observe(n int) {
	if n < 1 {
		return
	}
	h[min(bits.Len(uint(n-1)), histogramBuckets)].Add(1)
}

// snapshot returns cumulative counts by upper bound.
func (h *histogram) snapshot() (count uint64, buckets map[float64]uint64) {
	buckets = make(map[float64]uint64, histogramBuckets)
	for i := range histogramBuckets {
		count += h[i].Load()
		buckets[float64(uint(1)<<i)] = count
	}
	return count + h[histogramBuckets].Load(), buckets
}

// stats is updated once per system call, not per packet.
type stats struct {
	packetsIn, bytesIn   atomic.Uint64
	packetsOut, bytesOut atomic.Uint64
	sendCalls, recvCalls histogram
	segmented            atomic.Uint64 // messages of several packets
	segments             atomic.Uint64 // packets in such messages
	segmentFailures      atomic.Uint64 // such messages refused and sent again unsegmented
	receiveErrors        atomic.Uint64
	drops                [dropReasons]atomic.Uint64
}

func (s *stats) drop(r dropReason, n int) { s.drops[r].Add(uint64(n)) }

func (s *stats) sent(packets, bytes int) {
	s.packetsOut.Add(uint64(packets))
	s.bytesOut.Add(uint64(bytes))
	s.sendCalls.observe(packets)
}

func (s *stats) received(packets, bytes int) {
	s.packetsIn.Add(uint64(packets))
	s.bytesIn.Add(uint64(bytes))
	s.recvCalls.observe(packets)
}
