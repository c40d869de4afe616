package compose

import (
	"cmp"
	"slices"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// show is a recording put in order, on the timeline of the files: 0 is the
// gate's first opening.
type show struct {
	src    *source
	from   time.Duration // of 0 on the recording's timeline
	length time.Duration
	pauses []pause
	audio  []*audioTrack
	video  []*videoTrack
	people []*person

	pieces []piece
}

// pause is a time in which nothing was recorded.
type pause struct {
	span
	why string
}

// piece is an opening on the timeline of the files.
type piece struct {
	real span // on the recording's timeline
	at   time.Duration
}

// videoTrack is a track of pictures.
type videoTrack struct {
	*track
	gops  []gop
	shots []shot
}

// person is somebody who was recorded, and when they were there.
type person struct {
	id, role string
	present  []span
	camera   *videoTrack
	names    []change[string]
	first    time.Duration
}

const (
	cardLasts = 2 * time.Second // of a pause that is shortened
	// Somebody of whom nothing came for longer has left.
	leftAfter = 6 * time.Second
	// A shorter one is no pause: the gate closes for a moment when a newcomer has
	// granted before.
	minPause = 200 * time.Millisecond
)

// place puts the openings on the timeline of the files.
func (s *show) place(openings []opening, compact bool) {
	s.from = openings[0].from
	at := time.Duration(0)
	for i, o := range openings {
		if i > 0 {
			before := openings[i-1]
			gap := max(0, o.from-before.to)
			if compact && gap > cardLasts {
				gap = cardLasts
			}
			if gap >= minPause {
				s.pauses = append(s.pauses, pause{span{at, at + gap}, before.why})
			}
			at += gap
		}
		s.pieces = append(s.pieces, piece{o.span, at})
		at += o.to - o.from
	}
	s.length = at
}

// out puts a time of the recording on the timeline of the files. Times of a pause
// become its beginning or its end, whichever is nearer: packets were sent a little
// before they came.
func (s *show) out(at time.Duration) time.Duration {
	for i, p := range s.pieces {
		switch {
		case at < p.real.from && i == 0:
			return 0
		case at < p.real.from:
			before := s.pieces[i-1]
			if at-before.real.to < p.real.from-at {
				return before.at + before.real.to - before.real.from
			}
			return p.at
		case at < p.real.to:
			return p.at + at - p.real.from
		}
	}
	return s.length
}

// real is the inverse of out, within pauses as far as they go.
func (s *show) real(at time.Duration) time.Duration {
	for i := len(s.pieces) - 1; i >= 0; i-- {
		if p := s.pieces[i]; at >= p.at {
			return p.real.from + at - p.at
		}
	}
	return s.from
}

// paused is how much of an interval is pause.
func (s *show) paused(from, to time.Duration) time.Duration {
	var d time.Duration
	for _, p := range s.pauses {
		if a, b := max(from, p.from), min(to, p.to); b > a {
			d += b - a
		}
	}
	return d
}

// arrange makes a show of what was read.
func (s *source) arrange(compact bool, lost *Losses) (*show, error) {
	openings := slices.DeleteFunc(slices.Clone(s.openings), func(o opening) bool { return o.to <= o.from })
	if len(openings) == 0 || len(s.tracks) == 0 {
		return nil, ErrEmpty
	}
	sh := &show{src: s}
	sh.place(openings, compact)
	byPerson := map[string][]*stream{}
	for _, t := range s.tracks {
		byPerson[t.ParticipantID] = append(byPerson[t.ParticipantID], t.streams...)
	}
	for _, streams := range byPerson {
		setClocks(streams)
	}
	for _, t := range s.tracks {
		var err error
		if t.kind == "video" {
			err = sh.addVideo(t, lost)
		} else {
			err = sh.addAudio(t, lost)
		}
		if err != nil {
			return nil, err
		}
		for i := range t.names {
			t.names[i].at = sh.out(t.names[i].at)
		}
		for i := range t.muted {
			t.muted[i].at = sh.out(t.muted[i].at)
		}
	}
	sh.meet()
	for _, t := range s.tracks {
		for _, st := range t.streams { // no longer needed, and long
			st.ext, st.reports = nil, nil
		}
	}
	return sh, nil
}

func (s *show) addAudio(t *track, lost *Losses) error {
	a := &audioTrack{track: t}
	for _, st := range t.streams {
		sounds, err := s.src.soundsOf(st, lost)
		if err != nil {
			return err
		}
		a.sounds = append(a.sounds, sounds...)
	}
	for i := range a.sounds {
		a.sounds[i].pts = s.out(a.sounds[i].pts)
	}
	slices.SortStableFunc(a.sounds, func(a, b sound) int { return cmp.Compare(a.pts, b.pts) })
	if len(a.sounds) > 0 {
		s.audio = append(s.audio, a)
	}
	return nil
}

func (s *show) addVideo(t *track, lost *Losses) error {
	v := &videoTrack{track: t}
	var all []gop
	for _, st := range t.streams {
		gops, err := s.src.gopsOf(st, &lost.Pictures)
		if err != nil {
			return err
		}
		all = append(all, gops...)
	}
	stands := cameraStands
	if t.Source == consult.SourceScreen {
		stands = screenStands
	}
	v.gops = choose(all)
	for i := range v.gops {
		for k := range v.gops[i].frames {
			f := &v.gops[i].frames[k]
			f.pts = s.out(f.pts)
		}
	}
	v.shots = shots(v.gops, stands)
	for i := range v.shots {
		v.shots[i].to = min(v.shots[i].to, s.length)
	}
	if len(v.shots) > 0 {
		s.video = append(s.video, v)
	}
	return nil
}

var roleOrder = []string{
	string(consult.Doctor), string(consult.Patient), string(consult.Interpreter), string(consult.Guest), string(consult.Observer), string(consult.Device),
}

// meet finds out who was there when.
func (s *show) meet() {
	byID := map[string]*person{}
	for _, t := range s.src.tracks {
		p := byID[t.ParticipantID]
		if p == nil {
			p = &person{id: t.ParticipantID, role: t.Role}
			byID[t.ParticipantID] = p
			s.people = append(s.people, p)
		}
		p.names = append(p.names, t.names...)
		for _, st := range t.streams {
			for i := range st.packets {
				at := s.out(st.packets[i].at)
				p.present = append(p.present, span{at, at + time.Second})
			}
			p.present = s.join(p.present)
		}
	}
	for _, v := range s.video {
		if p := byID[v.ParticipantID]; v.Source != consult.SourceScreen {
			p.camera = v
		}
	}
	s.people = slices.DeleteFunc(s.people, func(p *person) bool { return len(p.present) == 0 })
	for _, p := range s.people {
		p.first = p.present[0].from
		slices.SortStableFunc(p.names, func(a, b change[string]) int { return cmp.Compare(a.at, b.at) })
	}
	slices.SortStableFunc(s.people, func(a, b *person) int {
		return cmp.Or(cmp.Compare(slices.Index(roleOrder, a.role), slices.Index(roleOrder, b.role)), cmp.Compare(a.first, b.first))
	})
}

// join merges spans between which nobody can have left.
func (s *show) join(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	out := spans[:0]
	for _, x := range spans {
		if n := len(out); n > 0 && x.from-out[n-1].to-s.paused(out[n-1].to, x.from) < leftAfter {
			out[n-1].to = max(out[n-1].to, x.to)
		} else {
			out = append(out, x)
		}
	}
	return out
}

// picture is the shot that shows v at a time, nil for none.
func (v *videoTrack) shot(at time.Duration) *shot {
	if valueAt(v.muted, at, false) {
		return nil
	}
	i, found := slices.BinarySearchFunc(v.shots, at, func(s shot, at time.Duration) int { return cmp.Compare(s.from, at) })
	if !found {
		i--
	}
	if i < 0 || !v.shots[i].has(at) {
		return nil
	}
	return &v.shots[i]
}
