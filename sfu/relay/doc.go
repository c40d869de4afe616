// Package relay lets clients reach the media whose network lets no UDP through,
// or little: TURN (RFC 8656, over the STUN of RFC 8489) over UDP, TCP and TLS,
// and the passive side of ICE-TCP (RFC 6544 in the framing of RFC 4571). All
// share the media UDP port and the HTTPS TCP port.
//
// # A relay without sockets
//
// A relayed address is virtual. No socket stands behind it: what a client sends
// through its allocation is handed to the media path in process ([Media]), as
// coming from that address, and what the media path sends to that address goes
// to the client ([Server.WriteToAddrPort]). The only peers are our own media
// addresses ([Config.Peers]); any other is refused with 403, so there is nothing
// that an open relay could be used for. An ICE-TCP connection has a virtual
// address too. So the media path knows one kind of client: a source address.
//
// Virtual addresses have an IP address that no packet from outside can have
// ([Config.Virtual4]), and a port of their own. Ports go round: one that was
// given back is not used again for a long time.
//
// The server of pion/turn was not used. It would run on virtual packet
// connections, but spends a goroutine, a copy and a switch of goroutines per
// packet on each allocation, answers a challenge of more bytes than was asked
// with, writes to TCP from whichever goroutine has a packet and waits there,
// and has no quotas. Its message parsing (pion/stun) is used.
//
// # Who may
//
// Credentials are long-term in form and short in life: username
// "<expiry>:<participant>", password an HMAC over it ([Server.Credentials]).
// Nothing is stored for them, nor for nonces, which are an HMAC over their time
// and the client's address. An allocation belongs to its participant, counts
// against the participant's quota, lives past the expiry of the credentials as
// long as it is refreshed, and ends with [Server.Revoke].
//
// Who has proven nothing over UDP gets no more bytes than came from its address,
// ever, and no more than 200 replies a second (see ledger). A browser's smallest
// Allocate is 28 bytes and the challenge 56, so TURN over UDP starts with one
// retransmission, some 200 ms; over TCP and TLS there is no such wait.
//
// Not spoken: TCP allocations (RFC 6062), pairs of ports (508, as RTP and RTCP
// share one), mobility, two families in one allocation, MESSAGE-INTEGRITY-SHA256
// (no browser sends it; clients fall back to MESSAGE-INTEGRITY when it isn't
// offered), DTLS to the TURN server.
//
// # A slow connection
//
// Over TCP a late packet delays all that follow. Each connection has one writing
// goroutine with a bounded queue; a packet that has waited for more than 200 ms
// is dropped whole and counted, and on Linux the kernel takes no more than 16 KiB
// that it has not sent. Responses are kept.
//
// # Wiring: the TCP port
//
// cmd makes the splitter instead of tls.NewListener, and serves HTTP on both of
// its listeners with one http.Server (which must not have a TLSConfig):
//
//	turn, err := relay.New(relay.Config{Secret: key, Peers: candidates, Media: sfu, UDP: udpConn}, log, reg)
//	split, err := relay.Split(listener, relay.SplitConfig{TLS: certs.tls(), Relay: turn.ServeConn}, log, reg)
//	go srv.Serve(split.HTTPS())
//	go srv.Serve(split.HTTP()) // with TLS on: redirects to HTTPS
//
// Request.TLS is set as ever, and HTTP/2 works. Key is 32 bytes that cmd derives
// from CHATMED_SECRET by HKDF under a label of its own, equal on all nodes. The
// order at shutdown: http.Server.Shutdown, Splitter.Close, the rooms, Server.Close,
// the UDP socket. Behind a proxy that ends TLS the splitter still tells HTTP from
// TURN over TCP; SplitConfig.PerSource must then allow for all clients having one
// address.
//
// # Wiring: the UDP port
//
// The goroutine that reads the UDP socket (muxConn.ReadFromAddrPort of package
// sfu) offers datagrams to the relay before Pion has them, media first as now:
//
//	n, addr, err := m.Conn.ReadFromAddrPort(p)
//	if isRTP(p[:n]) { … as now … }
//	if m.relay.HandleDatagram(p[:n], addr) { continue }
//	return n, addr, err // ICE checks and DTLS, to Pion
//
// HandleDatagram calls Media.Deliver from that same goroutine; connections call
// it from theirs. So Deliver does what muxConn does with what it has read:
//
//   - RTP and RTCP of a routed source: transport.receive with a burst of the
//     caller's (the UDP reader's own burst must not be used by others; a burst
//     per connection, or one under a lock, will do);
//   - all else, STUN and DTLS, is copied into a small bounded queue, and the
//     reader is woken with SetReadDeadline(time.Now()). muxConn.ReadFromAddrPort
//     serves that queue before it reads, and takes os.ErrDeadlineExceeded for a
//     reason to look again, after SetReadDeadline(time.Time{}). The order of the
//     two matters: clear the deadline, then look at the queue.
//
// In the other direction, before any write to a socket:
//
//	if m.relay.Owns(dst) { return m.relay.WriteToAddrPort(p, dst) }
//
// in muxConn.WriteToAddrPort and WriteTo (Pion: STUN and DTLS) and where a
// udpmux.Batch gets its packets (media), before they are reserved in it, as
// SRTP for a relayed client is encrypted into any buffer and given to
// WriteToAddrPort, which copies it. Media.Gone drops the route of an address.
//
// Pion needs nothing else: a virtual address is a peer-reflexive or relay
// candidate like any. Routes, and what decides that an address is proven,
// are ICE's, unchanged. TestICE has all of this in small.
//
// # Wiring: what clients are told
//
// joined (and admitted) carry iceServers with [Server.Credentials] of the
// participant: turn:HOST:PORT?transport=udp, turn:HOST:PORT?transport=tcp and
// turns:HOST:PORT?transport=tcp. The answer gets one more candidate per family,
// for ICE-TCP, with the type preference of RFC 6544 section 4.2 below UDP's:
//
//	candidate:… 1 tcp … IP PORT typ host tcptype passive
//
// Ejecting or ending calls Revoke; Config.Allowed says who is still there.
package relay
