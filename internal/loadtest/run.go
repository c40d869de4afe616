package loadtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"
)

const (
	joinTimeout  = 20 * time.Second
	mediaTimeout = 20 * time.Second // from the last join until everyone sees everyone
	drainTime    = 500 * time.Millisecond
	leadTime     = 100 * time.Millisecond // before the window, so that all know of it
	closeTimeout = 30 * time.Second
)

// load is one run.
type load struct {
	o       Options
	profile profile
	target  target
	meter   *meter
	api     *webrtc.API
	win     *window
	out     *progress

	clients []*client
	parts   []participant
	joins   []joinTimes
	work    sync.WaitGroup // senders
	cancel  context.CancelFunc
}

// joinTimes are the moments of one client's join.
type joinTimes struct {
	sent, answered time.Duration
	flowing        bool // somebody of the room published already
}

// Run puts the load on the server and reports. out gets a line a second.
func Run(ctx context.Context, o Options, out io.Writer) (r *Result, err error) {
	l, err := newLoad(o, out)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.close(ctx)) }()
	before, err := l.meter.full(ctx)
	if err != nil && l.meter.known() {
		return nil, fmt.Errorf("the server's process: %w", err)
	}
	if err := l.target.open(ctx, o.Rooms, o.Participants); err != nil {
		return nil, fmt.Errorf("rooms: %w", err)
	}
	if err := l.joinAll(ctx); err != nil {
		return nil, err
	}
	missing, err := l.awaitMedia(ctx)
	if err != nil {
		return nil, err
	}
	m, err := l.measure(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.hangUp(); err != nil {
		return nil, err
	}
	return l.result(before, m, missing), nil
}

func newLoad(o Options, out io.Writer) (*load, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	p, err := profileOf(o.Profile, o.RED)
	if err != nil {
		return nil, err
	}
	l := &load{o: o, profile: p, meter: newMeter(o.PID, o.Admin), win: newWindow(), out: newProgress(out)}
	if l.target, err = newTarget(&o, p); err != nil {
		return nil, err
	}
	l.api, err = newAPI(&o, p)
	return l, err
}

func newTarget(o *Options, p profile) (target, error) {
	switch o.Target {
	case TargetJanus:
		return newJanus(o, p)
	case TargetPion:
		return newPion(o, p), nil
	}
	return newChatMed(o, p)
}

// joinAll lets one after the other in, room by room, so that nobody's join
// waits for another's: what is measured is one person's click.
func (l *load) joinAll(ctx context.Context) error {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.cancel = cancel
	for room := range l.o.Rooms {
		for index := range l.o.Participants {
			l.clients = append(l.clients, l.newClient(sending, room, index))
		}
	}
	ramp := time.NewTicker(max(l.o.Ramp, time.Microsecond))
	defer ramp.Stop()
	for i, c := range l.clients {
		select {
		case <-ramp.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := l.joinOne(ctx, c); err != nil {
			return fmt.Errorf("participant %d of room %d: %w", c.index, c.room, err)
		}
		l.out.say("%s %s: joined %d of %d", l.o.Target, l.o.label(), i+1, len(l.clients))
	}
	return nil
}

func (l *load) newClient(sending context.Context, room, index int) *client {
	c := &client{
		api: l.api, win: l.win, room: room, index: index, sources: l.o.sources(index),
		recv: newReceiver(l.win, room, l.o.Participants), ctx: sending, work: &l.work,
	}
	if index < l.o.publishers() {
		c.pub = newPublisher(uint32(room*l.o.Participants+index), l.profile, l.win)
	}
	return c
}

func (l *load) joinOne(ctx context.Context, c *client) error {
	p := l.target.participant(c)
	l.parts = append(l.parts, p)
	j, err := l.enter(ctx, c, p, l.published(c))
	if err == nil {
		l.joins = append(l.joins, j)
	}
	return err
}

// enter lets c in, and waits until it publishes: so the next of the room finds
// media flowing.
func (l *load) enter(ctx context.Context, c *client, p participant, flowing bool) (joinTimes, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	if err := p.prepare(ctx); err != nil {
		return joinTimes{}, err
	}
	j := joinTimes{flowing: flowing, sent: l.win.now()}
	answered, err := p.join(ctx)
	if err != nil {
		return joinTimes{}, err
	}
	j.answered = answered.Sub(l.win.epoch)
	if c.pub != nil {
		err = poll(ctx, time.Millisecond, "the connection to come up", c.pub.begun.Load)
	}
	return j, err
}

// published reports whether somebody of c's room has begun to send.
func (l *load) published(c *client) bool {
	for _, o := range l.clients {
		if o.room == c.room && o != c && o.pub != nil && o.pub.begun.Load() {
			return true
		}
	}
	return false
}

// awaitMedia waits until everyone receives all they are to see, and reports how
// many of these streams have not come in time.
func (l *load) awaitMedia(ctx context.Context) (missing int, err error) {
	kinds := 1
	if len(l.profile.layers) > 0 {
		kinds = 2
	}
	count := func() (n int) {
		for _, c := range l.clients {
			_, got := c.recv.state()
			n += c.sources*kinds - got
		}
		return n
	}
	wait, cancel := context.WithTimeout(ctx, mediaTimeout)
	defer cancel()
	err = poll(wait, 20*time.Millisecond, "media", func() bool { return count() == 0 })
	missing = count()
	if err != nil && ctx.Err() != nil {
		return missing, ctx.Err()
	}
	if l.received() == 0 && missing == l.expectedSources()*kinds {
		return missing, errors.New("nobody receives anything")
	}
	return missing, nil
}

func (l *load) expectedSources() (n int) {
	for _, c := range l.clients {
		n += c.sources
	}
	return n
}

// poll waits until ok holds.
func poll(ctx context.Context, every time.Duration, what string, ok func() bool) error {
	t := time.NewTicker(every)
	defer t.Stop()
	for !ok() {
		select {
		case <-t.C:
		case <-ctx.Done():
			return fmt.Errorf("waited for %s: %w", what, ctx.Err())
		}
	}
	return nil
}

// measured is what the processes and the machine did in the window.
type measured struct {
	length        time.Duration
	server        usage // CPU and counters: of the window; the rest: at its end
	generator     usage
	machine, idle float64
	serverKnown   bool
}

// measure opens the window and waits until it is over and its last packets have
// arrived.
func (l *load) measure(ctx context.Context) (m measured, err error) {
	if err := waitUntil(ctx, l.win, l.win.now()+l.o.Settle); err != nil {
		return m, err
	}
	runtime.GC() // what the joins left behind is not the window's
	if _, err = l.meter.full(ctx); err != nil && l.meter.known() {
		return m, err
	}
	start := l.win.now() + leadTime
	l.win.set(start, l.o.Duration)
	if err := waitUntil(ctx, l.win, start); err != nil {
		return m, err
	}
	first := l.read(ctx)
	if err := l.watch(ctx, start); err != nil {
		return m, err
	}
	last := l.read(ctx)
	m.length = last.at - first.at
	m.server, m.generator = last.server, last.generator
	m.server.since(first.server)
	m.generator.since(first.generator)
	m.machine, m.idle = last.machine-first.machine, last.idle-first.idle
	m.serverKnown = l.meter.known()
	if err := errors.Join(first.err, last.err); err != nil && m.serverKnown {
		return m, fmt.Errorf("the server's process: %w", err)
	}
	if err := waitUntil(ctx, l.win, l.win.now()+drainTime); err != nil {
		return m, err
	}
	if full, err := l.meter.full(ctx); err == nil {
		m.server.goroutines, m.server.fds, m.server.heap = full.goroutines, full.fds, full.heap
	}
	return m, nil
}

// reading is one look at every process.
type reading struct {
	at                time.Duration
	server, generator usage
	machine, idle     float64
	err               error
}

func (l *load) read(ctx context.Context) (r reading) {
	r.at = l.win.now()
	r.machine, r.idle = machineTimes()
	r.server, r.err = l.meter.light(ctx)
	if err := r.generator.readProc(ownPID()); err != nil {
		r.err = errors.Join(r.err, err)
	}
	return r
}

// watch shows progress until the window ends.
func (l *load) watch(ctx context.Context, start time.Duration) error {
	var before uint64
	for t := time.Second; t < l.o.Duration; t += time.Second {
		if err := waitUntil(ctx, l.win, start+t); err != nil {
			return err
		}
		n := l.received()
		l.out.say("%s %s: %d of %d s, %d packets/s", l.o.Target, l.o.label(), int(t.Seconds()), int(l.o.Duration.Seconds()), n-before)
		before = n
	}
	return waitUntil(ctx, l.win, start+l.o.Duration)
}

// received is how many packets of the window have arrived.
func (l *load) received() (n uint64) {
	for _, c := range l.clients {
		n += c.recv.total()
	}
	return n
}

// hangUp ends the sending, then the connections, and waits for both.
func (l *load) hangUp() error {
	var err error
	if l.cancel != nil {
		l.cancel()
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var leaving sync.WaitGroup
	errs := make([]error, len(l.parts))
	for i, p := range l.parts {
		leaving.Go(func() { errs[i] = p.leave(ctx) })
	}
	leaving.Wait()
	for _, c := range l.clients {
		err = errors.Join(err, c.hangUp())
	}
	l.work.Wait()
	l.parts = nil
	return errors.Join(err, errors.Join(errs...))
}

// close ends what is left after an error, and the rooms.
func (l *load) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	err := errors.Join(l.hangUp(), l.target.close(ctx))
	l.meter.close()
	l.out.clear()
	return err
}
