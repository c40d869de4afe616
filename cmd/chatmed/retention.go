package main

import (
	"context"
	"time"

	"github.com/chatmed/chatmed/internal/store"
)

// retainEvery is how late something may be removed after its age is reached.
const retainEvery = time.Hour

// retain removes what is older than the settings allow, until ctx ends.
func (a *app) retain(ctx context.Context) {
	r := a.cfg.Retention
	a.store.RunRetention(ctx, retainEvery, a.now, store.Retention{
		Chat: r.Chat, Consultations: r.Consultations, Tickets: r.Tickets, DeliveredEvents: r.Events,
	})
}
