// Package impair is a bad network for tests and evaluations: Link decides what
// becomes of each packet and when, without sockets or a clock of its own, and
// Relay puts two links before every client of a UDP port on the loopback
// address. It is no part of the product: only tests and internal/impair/cmd
// import it.
//
// A packet goes through a link in this order: the outage, the queue's bound,
// waiting and sending at the link's rate, loss on the way (which has used the
// rate by then, as on radio), propagation delay and jitter.
package impair
