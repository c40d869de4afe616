package signaling

import (
	"context"

	"github.com/chatmed/chatmed/sfu"
)

// FromSFU makes s the Media of a Server.
func FromSFU(s *sfu.SFU) Media { return sfuMedia{s} }

type sfuMedia struct{ sfu *sfu.SFU }

func (m sfuMedia) Join(ctx context.Context, r sfu.JoinRequest) (Leg, sfu.Answer, error) {
	p, answer, err := m.sfu.Join(ctx, r)
	if err != nil {
		return nil, sfu.Answer{}, err // a nil *Participant would be a Leg that is not nil
	}
	return p, answer, nil
}
