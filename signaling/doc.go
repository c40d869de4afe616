// Package signaling is the WebSocket side of a consultation: it lets people in
// with their room token, tells them who is there and where they stand in the
// queue, and carries the offers and answers of their media. The protocol is
// specified in docs/signaling.md, its messages in schema/.
//
// One goroutine per room owns everything about that room (room.go), one
// goroutine reads and one writes per connection (session.go). A session hands
// its messages to its room's mailbox and waits for them to be handled, so a
// client's messages are handled strictly in order and a flood stays in the
// client's own socket. Media negotiation, the only slow work, runs in jobs that
// the room owns and awaits (leg.go).
package signaling
