// Package loadtest drives a conferencing server as its clients do and measures
// what comes back: join time, one-way latency, loss, and what the server's
// process spends on it. It speaks ChatMed's signalling and, for comparison,
// the API of the Janus videoroom.
//
// Every client is a PeerConnection of its own with a socket of its own, because
// a server tells its peers apart by address. Publisher and receiver share one
// process and so one clock: a packet carries the time it was sent at.
package loadtest
