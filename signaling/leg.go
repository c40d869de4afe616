package signaling

import (
	"context"
	"sync"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/sfu"
)

// Media is the SFU as signalling sees it. Join answers an offer and lets its
// sender's media in; the error of an unusable offer is a BadRequest *consult.Error.
type Media interface {
	Join(ctx context.Context, r sfu.JoinRequest) (Leg, sfu.Answer, error)
}

// Leg is one participant's media.
type Leg interface {
	// Ready says that the client has applied the answer.
	Ready()
	// Offer answers a new offer of the same client; with replace it comes from a
	// new PeerConnection that takes over from the old.
	Offer(ctx context.Context, sdp string, intents []sfu.Intent, replace bool) (sfu.Answer, error)
	SetMuted(source string, muted bool)
	// SetViews says how the client shows its slots, SetStats how it receives them.
	SetViews(views []sfu.View)
	SetStats(stats []sfu.SlotStats)
	// Report is how the call is and has been for the client.
	Report() sfu.Report
	Slots() []sfu.Slot
	Close()
}

// mediaState is a participant's media. Owned by the room's loop.
type mediaState struct {
	// job is the last one started; life counts joins and closes, so that the
	// result of a job of an earlier life is not taken.
	job  *mediaJob
	life int
	open int // jobs of this participant not yet done

	leg    Leg // nil: chat only, or not yet in
	answer string
	ready  bool
	state  string // as sfu.Observer.MediaChanged says
	// sources are what the participant publishes, and whether it is muted.
	sources map[string]bool
	// later are the mutes that came while an offer was being answered: they are
	// newer than what its publications say.
	later map[string]bool
	// views are how the page shows its slots; kept for a leg to come.
	views []sfu.View
	// stalled are the sources of which nothing comes; sending and quality were told
	// last, and are told again after a resume.
	stalled map[string]bool
	sending map[string][]sfu.SendLayer
	quality *sfu.Quality
}

// mediaJob is one step of a participant's media. Steps run one after the other,
// each in a goroutine that the room awaits, so that no two ever touch the same
// leg and the loop never waits for one.
type mediaJob struct {
	done chan struct{}
	leg  Leg // what the step left open, valid once done is closed
}

// mediaStep gets the leg the step before left, or nil, and returns its own.
type mediaStep func(ctx context.Context, leg Leg) (Leg, sfu.Answer, error)

// startMedia runs step after the participant's earlier ones, then calls then in
// the loop, unless the participant's media has begun anew or ended meanwhile.
func (r *room) startMedia(p *participant, step mediaStep, then func(leg Leg, a sfu.Answer, err error)) {
	before, job, life := p.media.job, &mediaJob{done: make(chan struct{})}, p.media.life
	p.media.job = job
	p.media.open++
	r.jobsOpen++
	r.jobs.Add(1)
	go func() {
		defer r.jobs.Done()
		var leg Leg
		if before != nil {
			<-before.done
			leg = before.leg
		}
		ctx, cancel := context.WithTimeout(r.srv.ctx, mediaTimeout)
		leg, answer, err := step(ctx, leg)
		cancel()
		job.leg = leg
		close(job.done)
		r.post(func() {
			r.jobsOpen--
			p.media.open--
			if p.media.life == life && !r.closed {
				then(leg, answer, err)
			}
		})
	}()
}

// joinMedia answers o for p, in place of any media p has.
func (r *room) joinMedia(p *participant, o *offered, then func(a sfu.Answer, err error)) {
	p.media.life++
	p.media.leg, p.media.answer, p.media.ready, p.media.state = nil, "", false, ""
	p.media.sources, p.media.later = sourcesOf(o.intents), nil
	p.media.stalled, p.media.sending, p.media.quality = nil, nil, nil
	request := sfu.JoinRequest{
		RoomID: r.id, ParticipantID: p.id, Grants: p.grants, OfferSDP: o.sdp, Intents: o.intents,
		Observer: &observer{room: r, p: p, life: p.media.life},
	}
	r.startMedia(p, func(ctx context.Context, leg Leg) (Leg, sfu.Answer, error) {
		if leg != nil {
			r.finishLeg(ctx, p.id, leg)
		}
		return r.srv.deps.Media.Join(ctx, request)
	}, func(leg Leg, a sfu.Answer, err error) {
		if err == nil {
			p.media.leg, p.media.answer = leg, a.SDP
			p.publishes(o)
			if p.media.views != nil {
				leg.SetViews(p.media.views)
			}
		}
		then(a, err)
	})
}

// closeMedia ends p's media. It returns at once; the room awaits the closing.
func (r *room) closeMedia(p *participant) {
	p.media.life++
	p.media.leg, p.media.state = nil, ""
	if p.media.job == nil {
		return
	}
	r.startMedia(p, func(ctx context.Context, leg Leg) (Leg, sfu.Answer, error) {
		if leg != nil {
			r.finishLeg(ctx, p.id, leg)
		}
		return nil, sfu.Answer{}, nil
	}, func(Leg, sfu.Answer, error) { r.silent(p) })
}

// finishLeg closes a leg and keeps how the call was. Any goroutine.
func (r *room) finishLeg(ctx context.Context, participantID string, leg Leg) {
	report := leg.Report()
	leg.Close()
	if report.Summary.Seconds == 0 {
		return
	}
	if ctx.Err() != nil { // the server stops: there is a moment left for this
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
		defer cancel()
	}
	// NotFound: nobody has come into the call under that id.
	err := r.srv.deps.Store.AddQuality(ctx, r.scope, participantID, report.Summary)
	if err != nil && !consult.HasCode(err, consult.NotFound) {
		r.log.Warn("quality not stored", "participant", participantID, "err", err)
	}
}

// publishes notes what an answered offer carries. Mutes that came meanwhile hold.
func (p *participant) publishes(o *offered) {
	p.media.sources = sourcesOf(o.intents)
	for source, muted := range p.media.later {
		if _, published := p.media.sources[source]; published {
			p.media.sources[source] = muted
			p.media.leg.SetMuted(source, muted)
		}
	}
	if p.media.open == 0 {
		p.media.later = nil
	}
}

func sourcesOf(intents []sfu.Intent) map[string]bool {
	sources := make(map[string]bool, len(intents))
	for _, i := range intents {
		sources[i.Source] = i.Muted
	}
	return sources
}

// granted drops the intents that the grants do not cover: their m-lines are
// answered, but nothing they carry is forwarded. A source or an m-line named
// twice is an error.
func granted(intents []sfu.Intent, g consult.Grants) ([]sfu.Intent, error) {
	mids, sources := map[string]bool{}, map[string]bool{}
	out := make([]sfu.Intent, 0, len(intents))
	for _, i := range intents {
		if mids[i.Mid] || sources[i.Source] {
			return nil, consult.Errorf(consult.BadRequest, consult.ReasonBadOffer, "A publication is named twice.")
		}
		mids[i.Mid], sources[i.Source] = true, true
		if g.CanPublish(i.Source) {
			out = append(out, i)
		}
	}
	return out, nil
}

// observer carries the SFU's notices about one leg into the loop, the newest
// state of each kind only.
type observer struct {
	room *room
	p    *participant
	life int

	mu     sync.Mutex
	queued bool
	slots  []sfu.Slot
	state  string
	news   news
}

// SlotsChanged is called by the SFU.
func (o *observer) SlotsChanged(slots []sfu.Slot) {
	o.mu.Lock()
	o.slots = slots
	o.mu.Unlock()
	o.notify()
}

// MediaChanged is called by the SFU.
func (o *observer) MediaChanged(state string) {
	o.mu.Lock()
	o.state = state
	o.mu.Unlock()
	o.notify()
}

// news is what else the SFU tells, the newest of each kind.
type news struct {
	sending map[string][]sfu.SendLayer
	speaker *string
	quality *sfu.Quality
	stalled []string // nil: nothing new
}

// SendChanged is called by the SFU.
func (o *observer) SendChanged(sources map[string][]sfu.SendLayer) {
	o.note(func(n *news) { n.sending = sources })
}

// SpeakerChanged is called by the SFU.
func (o *observer) SpeakerChanged(id string) { o.note(func(n *news) { n.speaker = &id }) }

// QualityChanged is called by the SFU.
func (o *observer) QualityChanged(q sfu.Quality) { o.note(func(n *news) { n.quality = &q }) }

// StalledChanged is called by the SFU.
func (o *observer) StalledChanged(sources []string) { o.note(func(n *news) { n.stalled = sources }) }

func (o *observer) note(set func(*news)) {
	o.mu.Lock()
	set(&o.news)
	o.mu.Unlock()
	o.notify()
}

func (o *observer) notify() {
	o.mu.Lock()
	first := !o.queued
	o.queued = true
	o.mu.Unlock()
	if first {
		o.room.post(o.deliver)
	}
}

// deliver runs in the loop.
func (o *observer) deliver() {
	o.mu.Lock()
	slots, state, other := o.slots, o.state, o.news
	o.slots, o.news, o.queued = nil, news{}, false
	o.mu.Unlock()
	p := o.p
	if p.media.life != o.life || o.room.closed {
		return
	}
	if slots != nil && p.stage == inCall {
		p.push(slotsMessage{Type: "slots", Slots: slotViews(slots)})
	}
	if state != "" && state != p.media.state {
		p.media.state = state
		o.room.settle()
	}
	o.room.adapted(p, other)
}

// adapted tells p what the SFU has decided about its media, and everyone which of
// its sources have stalled.
func (r *room) adapted(p *participant, n news) {
	if n.sending != nil {
		p.media.sending = n.sending
	}
	if n.quality != nil {
		p.media.quality = n.quality
	}
	if n.stalled != nil {
		p.media.stalled = map[string]bool{}
		for _, source := range n.stalled {
			p.media.stalled[source] = true
		}
		r.tellParticipants()
	}
	if p.stage != inCall {
		return
	}
	if n.sending != nil {
		p.push(newSendMessage(n.sending))
	}
	if n.quality != nil {
		p.push(newQualityMessage(*n.quality))
	}
	if n.speaker != nil {
		p.push(speakerMessage{Type: "speaker", ParticipantID: ifAny(*n.speaker)})
	}
}

// tellAdapted repeats to p what was told last, after a resume.
func (p *participant) tellAdapted() {
	if p.media.sending != nil {
		p.push(newSendMessage(p.media.sending))
	}
	if p.media.quality != nil {
		p.push(newQualityMessage(*p.media.quality))
	}
}
