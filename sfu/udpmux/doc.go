// Package udpmux is the one UDP socket all peers share, made to sit under
// Pion's ice.UDPMux. It is a net.PacketConn with both methods of
// ice.AddrPortReaderWriter.
//
// # Sending
//
// What a datagram costs is the system call, the way through the IP stack and
// the wake-up of the network poller. Three things lower it on Linux:
//
//   - Packets are gathered in a [Batch] and leave by sendmmsg(2).
//   - Consecutive packets to one destination, equal in size but for the last,
//     become one message that the kernel cuts up (UDP_SEGMENT, "GSO"). Only
//     this changes the order of magnitude.
//   - Sending happens on a second socket bound to the same address, which the
//     poller doesn't know. A classic BPF program on the reuseport group sends
//     every incoming datagram to the first socket.
//
// A Batch belongs to one goroutine, which encrypts into it (Reserve, Commit)
// or copies into it (WriteTo) and calls Flush when its burst ends. No lock is
// taken per packet and none is held across a system call. Nothing is ever
// flushed by a timer. [Conn.WriteToAddrPort], which Pion uses for STUN and
// DTLS, sends one packet at once.
//
// The packets of one Batch to one destination are handed to the kernel in the
// order they were committed. Between two Batches, or a Batch and
// WriteToAddrPort, the order is that of the calls that send (Flush and
// WriteToAddrPort), and there is none between calls that overlap. What a Batch
// sends is not in order across destinations.
//
// A full socket buffer never blocks the caller: the packet is dropped and
// counted by reason.
//
// # Pacing
//
// No timer spreads packets: what is flushed is handed to the kernel at once,
// and a key frame reaches a single receiver as fast as the interface sends. Two
// things soften it. A message carries [Config.MaxSegments] packets at most, so
// that other traffic of the machine, and a fair queue discipline (fq), can come
// between the messages of one key frame. And where a run of packets reached
// that cap, the messages queued with it leave in turns, the first of each
// destination, then the second of each, so that no receiver waits for the whole
// of another's key frame. The turns reach as far as one queue of a Batch: 128 KiB
// or 64 messages.
//
// # Receiving
//
// Datagrams are taken by recvmmsg(2), merged by the kernel where it can
// (UDP_GRO), into a ring from which ReadFromAddrPort is served. [Conn.Buffered]
// tells a reader whether its burst is used up, and [Conn.Poll] adds to it what
// has come meanwhile.
//
// # One packet at a time
//
// In small rooms packets arrive alone, and what one costs is the thread that it
// wakes, many times its system calls. So all calls here are raw, without telling
// the scheduler. An accounted one (package syscall's, and with it every write of
// a net.Conn) on a process that was idle also wakes the runtime's monitor
// thread, which then polls for a while. For the same reason the reader waits in
// the network poller and not in a blocking call. BenchmarkSinglePaced compares
// the three: Go's own socket costs two to three times as much, a blocking reader
// more still.
//
// Before it waits the reader asks once in vain. That can't be spared: what
// arrived since the call before has had its event already. It costs about a
// hundredth of a wake-up, and under load it is what saves one. Asking for 32
// datagrams where one has come costs about half of that more than asking for
// one, and keeps a burst together. A Batch that holds one packet leaves by sendto.
//
// # Fallbacks
//
// A kernel without UDP_SEGMENT, a route whose device can't segment (EIO, EINVAL
// or EMSGSIZE: the packets are sent again one by one, and segmentation is given
// up after [gsoFailureLimit] failures in a row), no SO_REUSEPORT (one socket
// sends and receives), no sendmmsg and other systems (plain reads and writes).
// [Config.Disable] forces each.
package udpmux
