package loadtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"
)

// SoakOptions say how a soak goes on: in every room a doctor publishes, and one
// patient after the other joins, sees the first packet and leaves.
type SoakOptions struct {
	Joins int // in all
	Every int // joins between two looks at the server
	Renew int // joins after which a room is ended and another made
}

// SoakResult is what became of the server meanwhile.
type SoakResult struct {
	Version string       `json:"version,omitempty"`
	Joins   int          `json:"joins"`
	Failed  int          `json:"failed"`
	Samples []SoakSample `json:"samples"`
	// Growth is the mean of the last quarter's samples by that of the second,
	// when caches and pools have filled: 1 is flat.
	Growth struct {
		RSS        float64 `json:"rss"`
		Heap       float64 `json:"heap"`
		Goroutines float64 `json:"goroutines"`
		FDs        float64 `json:"fds"`
	} `json:"growth"`
}

// SoakSample is one look, with everyone who comes and goes still there.
type SoakSample struct {
	Seconds     float64 `json:"seconds"`
	Joins       int     `json:"joins"`
	RSS         int64   `json:"rss"`
	Heap        float64 `json:"heap"`
	Goroutines  float64 `json:"goroutines"`
	FDs         float64 `json:"fds"`
	CPUPerJoin  float64 `json:"cpu_ms_per_join"` // with what the doctors send meanwhile
	FirstPacket Spread  `json:"first_packet_ms"`
}

const maxSoakFailures = 20

// Soak runs one. Only a ChatMed server with metrics can be soaked.
func Soak(ctx context.Context, o Options, s SoakOptions, out io.Writer) (r *SoakResult, err error) {
	if o.Target != TargetChatMed || o.Admin == "" {
		return nil, errors.New("a soak needs a ChatMed server and the URL of its admin pages, as --admin")
	}
	if s.Joins < 1 || s.Every < 1 || s.Renew < 1 {
		return nil, errors.New("joins, every and renew are above zero")
	}
	o.Participants, o.Publishers = 2, 1
	l, err := newLoad(o, out)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.close(ctx)) }()
	k := &soak{load: l, opts: s, visits: make(chan visit), result: SoakResult{Version: o.Version}}
	if err := l.target.open(ctx, o.Rooms, o.Participants); err != nil {
		return nil, err
	}
	return &k.result, k.run(ctx)
}

type soak struct {
	*load
	opts   SoakOptions
	begun  atomic.Int64 // joins
	visits chan visit
	result SoakResult
}

// visit is one patient's stay.
type visit struct {
	first time.Duration // from join to the first packet
	err   error
}

func (k *soak) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := k.sample(ctx, nil); err != nil {
		return err
	}
	var rooms sync.WaitGroup
	for room := range k.o.Rooms {
		rooms.Go(func() { k.room(ctx, room) })
	}
	go func() { // ends with the rooms, which end with ctx or the last join
		rooms.Wait()
		close(k.visits)
	}()
	var firsts []time.Duration
	var err error
	for v := range k.visits { // until the last room has ended, also after an error
		if err != nil {
			continue
		}
		if v.err != nil {
			if k.result.Failed++; k.result.Failed > maxSoakFailures || ctx.Err() != nil {
				err = v.err
				cancel()
			}
			k.out.say("soak: %v", v.err)
			continue
		}
		k.result.Joins++
		firsts = append(firsts, v.first)
		k.out.say("soak: %d of %d joins", k.result.Joins, k.opts.Joins)
		if k.result.Joins%k.opts.Every == 0 {
			if err = k.sample(ctx, firsts); err != nil {
				cancel()
			}
			firsts = firsts[:0]
		}
	}
	k.judge()
	return errors.Join(err, ctx.Err())
}

// room keeps one room going until all joins are done.
func (k *soak) room(ctx context.Context, room int) {
	var d *doctor
	opened := false
	defer func() { k.end(d) }()
	for n := 0; k.begun.Add(1) <= int64(k.opts.Joins) && ctx.Err() == nil; n++ {
		if d == nil || n%k.opts.Renew == 0 {
			k.end(d)
			var err error
			d, err = k.open(ctx, room, opened)
			opened = true
			if err != nil {
				k.visits <- visit{err: err}
				continue
			}
		}
		first, err := k.visit(ctx, room)
		k.visits <- visit{first, err}
	}
}

// doctor is who stays in a room.
type doctor struct {
	c      *client
	p      participant
	cancel context.CancelFunc
	work   *sync.WaitGroup
}

// open lets a doctor into a room, which is made anew unless it is the first.
func (k *soak) open(ctx context.Context, room int, again bool) (*doctor, error) {
	if t, ok := k.target.(*chatmedTarget); ok && again {
		if err := t.renew(ctx, room); err != nil {
			return nil, err
		}
	}
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c := k.newClient(sending, room, 0)
	c.sources = 1 // a slot for the patient, who only looks on
	c.work = &sync.WaitGroup{}
	d := &doctor{c: c, p: k.target.participant(c), cancel: cancel, work: c.work}
	if _, err := k.enter(ctx, c, d.p, false); err != nil {
		k.end(d)
		return nil, fmt.Errorf("doctor: %w", err)
	}
	return d, nil
}

// end ends a doctor's consultation.
func (k *soak) end(d *doctor) {
	if d == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	d.cancel()
	if p, ok := d.p.(*chatmedParticipant); ok && p.conn != nil {
		_ = p.send(map[string]string{"type": "end"}) // leave follows in any case
	}
	_ = d.p.leave(ctx) // the connection may be closed already
	_ = d.c.hangUp()
	d.work.Wait()
}

// visit lets a patient in, waits for the first packet, and leaves.
func (k *soak) visit(ctx context.Context, room int) (first time.Duration, err error) {
	c := k.newClient(ctx, room, 1)
	p := k.target.participant(c)
	defer func() {
		leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		err = errors.Join(err, p.leave(leaving), c.hangUp())
	}()
	j, err := k.enter(ctx, c, p, true)
	if err != nil {
		return 0, err
	}
	wait, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	for {
		if at, _ := c.recv.state(); at > 0 {
			return at - j.sent, nil
		}
		select {
		case <-c.recv.changed:
		case <-wait.Done():
			return 0, fmt.Errorf("no packet: %w", wait.Err())
		}
	}
}

// sample looks at the server.
func (k *soak) sample(ctx context.Context, firsts []time.Duration) error {
	u, err := k.meter.full(ctx)
	if err != nil {
		return err
	}
	s := SoakSample{
		Seconds: k.win.now().Seconds(), Joins: k.result.Joins, RSS: u.rss, Heap: u.heap,
		Goroutines: u.goroutines, FDs: u.fds, FirstPacket: spreadOf(firsts), CPUPerJoin: u.cpu() * 1000,
	}
	k.result.Samples = append(k.result.Samples, s)
	return nil
}

// judge makes the CPU times differences, and compares late samples with early.
func (k *soak) judge() {
	s := k.result.Samples
	for i := len(s) - 1; i > 0; i-- {
		s[i].CPUPerJoin = (s[i].CPUPerJoin - s[i-1].CPUPerJoin) / float64(max(s[i].Joins-s[i-1].Joins, 1))
	}
	if len(s) > 0 {
		s[0].CPUPerJoin = 0
	}
	early, late := s[len(s)/4:len(s)/2], s[len(s)*3/4:]
	growth := func(of func(SoakSample) float64) float64 {
		a, b := meanOf(early, of), meanOf(late, of)
		if a == 0 {
			return 0
		}
		return b / a
	}
	g := &k.result.Growth
	g.RSS = growth(func(s SoakSample) float64 { return float64(s.RSS) })
	g.Heap = growth(func(s SoakSample) float64 { return s.Heap })
	g.Goroutines = growth(func(s SoakSample) float64 { return s.Goroutines })
	g.FDs = growth(func(s SoakSample) float64 { return s.FDs })
}

func meanOf(s []SoakSample, of func(SoakSample) float64) float64 {
	if len(s) == 0 {
		return 0
	}
	sum := 0.0
	for _, v := range s {
		sum += of(v)
	}
	return sum / float64(len(s))
}

// Print writes the result for people.
func (r *SoakResult) Print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "seconds\tjoins\tRSS MiB\theap MiB\tgoroutines\tfds\tCPU ms a join\tfirst packet p50 ms\tp95 ms")
	for _, s := range r.Samples {
		fmt.Fprintf(w, "%.0f\t%d\t%.1f\t%.1f\t%.0f\t%.0f\t%.1f\t%.1f\t%.1f\n", s.Seconds, s.Joins,
			float64(s.RSS)/mebibyte, s.Heap/mebibyte, s.Goroutines, s.FDs, s.CPUPerJoin, s.FirstPacket.P50, s.FirstPacket.P95)
	}
	fmt.Fprintf(w, "\n%d joins, %d failed. Last quarter by the second: RSS %.2f, heap %.2f, goroutines %.2f, fds %.2f\n",
		r.Joins, r.Failed, r.Growth.RSS, r.Growth.Heap, r.Growth.Goroutines, r.Growth.FDs)
	return w.Flush()
}
