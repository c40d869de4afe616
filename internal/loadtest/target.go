package loadtest

import (
	"context"
	"time"
)

// target is a server under load.
type target interface {
	// open makes the rooms, numbered from 0, and whatever access their
	// participants need.
	open(ctx context.Context, rooms, participants int) error
	// participant connects c to its room. Participants of a room are prepared
	// and joined in the order of their indexes.
	participant(c *client) participant
	// close gives up what open made.
	close(ctx context.Context) error
}

// participant is one client's way into a room.
type participant interface {
	// prepare does all that a page does before the click: socket, offer.
	prepare(ctx context.Context) error
	// join asks to be let in and returns when the server's answer has come.
	join(ctx context.Context) (answered time.Time, err error)
	// leave says goodbye and waits for its own goroutines. The client's
	// connections are closed by hangUp.
	leave(ctx context.Context) error
}
