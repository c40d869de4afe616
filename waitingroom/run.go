package waitingroom

import (
	"context"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// sweepTimeout bounds one round of Run.
const sweepTimeout = 30 * time.Second

// Run expires the tickets of patients who stayed away beyond the grace period,
// and makes good what Redis missed, until ctx ends. Every node may run it.
func (s *Service) Run(ctx context.Context) {
	cancel := s.bus.OnReconnect(s.live.mend)
	defer cancel()
	t := time.NewTicker(s.cfg.SweepEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			c, cancel := context.WithTimeout(ctx, sweepTimeout)
			if err := s.Sweep(c); err != nil && ctx.Err() == nil {
				s.log.Error("waiting room sweep", "err", err)
			}
			cancel()
		}
	}
}

// Sweep is one round of Run.
func (s *Service) Sweep(ctx context.Context) error {
	s.settleDoubts(ctx)
	s.attend(ctx)
	scopes, ok := s.store.(ScopeLister)
	if !ok {
		return nil
	}
	all, err := scopes.Scopes(ctx)
	if err != nil {
		return err
	}
	for _, sc := range all {
		before := s.clock().Add(-s.cfg.Grace)
		tickets, err := s.store.AwayTickets(ctx, sc, before)
		if err != nil {
			return err
		}
		for i := range tickets {
			_, err := s.update(ctx, sc, consult.System, tickets[i].ID, time.Time{},
				func(t *consult.Ticket, _ *consult.Consultation, now time.Time) (bool, error) {
					return expire(t, before, now), nil
				})
			if err != nil && !consult.HasCode(err, consult.NotFound) {
				return err
			}
		}
	}
	return nil
}
