package loadtest

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// janusTarget is a Janus gateway with the videoroom plugin, version 1 or later.
// A participant has one WebSocket and session, a handle that publishes, and one
// that subscribes to all others of the room over a single connection
// (multistream), which is the cheapest way Janus offers.
type janusTarget struct {
	url   string
	first uint64 // id of room 0
	rooms int
	owner *janusSession // makes and destroys the rooms
	red   bool
	peers int
}

func newJanus(o *Options, p profile) (*janusTarget, error) {
	return &janusTarget{url: o.URL, first: 1e6 + uint64(rand.Uint32()), red: p.red, peers: o.Participants}, nil
}

func (t *janusTarget) open(ctx context.Context, rooms, participants int) (err error) {
	if t.owner, err = dialJanus(ctx, t.url, nil); err != nil {
		return err
	}
	handle, err := t.owner.attach(ctx)
	if err != nil {
		return err
	}
	for i := range rooms {
		audio := "opus"
		if t.red {
			audio = "opus,red"
		}
		// Nothing but forwarding: no bitrate cap, no periodic key frames, no
		// header extensions that are not used.
		_, err := t.owner.message(ctx, handle, map[string]any{
			"request": "create", "room": t.first + uint64(i), "publishers": participants,
			"bitrate": 0, "fir_freq": 0, "audiocodec": audio, "videocodec": "vp8", "opus_fec": true, "opus_red": t.red,
			"audiolevel_ext": false, "videoorient_ext": false, "playoutdelay_ext": false, "transport_wide_cc_ext": false,
			"record": false, "notify_joining": false,
		}, "")
		if err != nil {
			return fmt.Errorf("room %d: %w", i, err)
		}
		t.rooms++
	}
	return nil
}

func (t *janusTarget) participant(c *client) participant {
	return &janusParticipant{t: t, c: c, room: t.first + uint64(c.room), done: make(chan struct{})}
}

func (t *janusTarget) close(ctx context.Context) error {
	if t.owner == nil {
		return nil
	}
	return t.owner.close(ctx)
}
