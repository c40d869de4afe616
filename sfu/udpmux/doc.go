// Package udpmux is the one UDP socket all peers share, made to sit under
// Pion's ice.UDPMux. It is a net.PacketConn with both methods of
// ice.AddrPortReaderWriter.
//
// # Sending
//
// What a datagram costs is the system call, the way through the IP stack and
// the wake-up of the network poller. Three things lower it on Linux:
//
//   - Packets are gathered during a burst and leave by sendmmsg(2).
//   - Consecutive packets to one destination, equal in size but for the last,
//     become one message that the kernel cuts up (UDP_SEGMENT, "GSO"). Only
//     this changes the order of magnitude. The number of segments in a message
//     is capped, and the messages of a run that reached the cap are dealt out
//     in turns among the destinations, so that a key frame does not leave as
//     one train.
//   - Sending happens on a second socket bound to the same address, which the
//     poller doesn't know. A classic BPF program on the reuseport group sends
//     every incoming datagram to the first socket.
//
// There are two ways to gather packets. Nothing is ever flushed by a timer.
//
// A [Batch] belongs to one goroutine, which encrypts into it (Reserve, Commit)
// or copies into it (WriteTo) and calls Flush when its burst ends. No lock is
// taken per packet.
//
// Pion writes through [Conn.WriteToAddrPort] and knows nothing of batches. A
// goroutine that is about to make it write declares a burst:
//
//	burst := conn.Begin()
//	defer burst.End()
//	// writes to many tracks, a destination at a time
//
// While at least one burst is declared, by whomever, WriteToAddrPort copies the
// packet into a shard picked by the destination; the end of every burst flushes
// all shards that hold something. While none is, the packet is sent at once.
// Bursts of several goroutines overlap freely: a packet is in the kernel's hands, or
// in those of a goroutine already sending for the shard, by the end of the
// first burst that was declared when it was written. A Burst that never ends
// holds packets back until its shard is full, hence the defer.
//
// A shard has a lock for its queue and a token for the right to send. The
// holder of the token takes the filled queue out under the lock and sends it
// after releasing the lock; who finds the token taken leaves the packets to the
// holder, which looks again before it puts the token down; after a few rounds
// the next to ask waits and takes it over. So no lock is held across a system
// call and the packets of one destination keep their order.
// Between a Batch and WriteToAddrPort, or between two Batches, there is no
// order.
//
// A full socket buffer never blocks the caller: the packet is dropped and
// counted by reason.
//
// # Receiving
//
// Datagrams are taken by recvmmsg(2), merged by the kernel where it can
// (UDP_GRO), into a ring from which ReadFromAddrPort is served. [Conn.Buffered]
// tells a reader whether its burst is used up.
//
// # Fallbacks
//
// A kernel without UDP_SEGMENT, a route whose device can't segment (EIO, EINVAL
// or EMSGSIZE: the packets are sent again one by one, and segmentation is given
// up after [gsoFailureLimit] failures in a row), no SO_REUSEPORT (one socket
// sends and receives), no sendmmsg and other systems (plain reads and writes).
// [Config.Disable] forces each.
package udpmux
