package impair

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxLine bounds a line of Control.
const maxLine = 64 << 10

// request is one line of Control.
type request struct {
	Op     string       `json:"op"`
	Preset string       `json:"preset"`
	Up     *wireProfile `json:"up"`
	Down   *wireProfile `json:"down"`
	Client uint16       `json:"client"` // source port; 0: all
	New    bool         `json:"new"`    // only those to come
}

// wireProfile is a Profile as JSON, with times in milliseconds.
type wireProfile struct {
	Rate       int     `json:"rate_bps,omitempty"`
	Queue      int     `json:"queue_bytes,omitempty"`
	Delay      float64 `json:"delay_ms,omitempty"`
	Jitter     float64 `json:"jitter_ms,omitempty"`
	JitterTime float64 `json:"jitter_time_ms,omitempty"`
	Reorder    bool    `json:"reorder,omitempty"`
	Loss       float64 `json:"loss,omitempty"`
	BurstEnter float64 `json:"burst_enter,omitempty"`
	BurstLeave float64 `json:"burst_leave,omitempty"`
	BurstLoss  float64 `json:"burst_loss,omitempty"`
	OutEvery   float64 `json:"outage_every_ms,omitempty"`
	OutFor     float64 `json:"outage_for_ms,omitempty"`
	OutHold    bool    `json:"outage_hold,omitempty"`
	Cut        bool    `json:"cut,omitempty"`
}

func toWire(p Profile) wireProfile {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return wireProfile{
		p.Rate, p.Queue, ms(p.Delay), ms(p.Jitter), ms(p.JitterTime), p.Reorder, p.Loss,
		p.Burst.Enter, p.Burst.Leave, p.Burst.Loss, ms(p.Outage.Every), ms(p.Outage.For), p.Outage.Hold, p.Cut,
	}
}

// profile is the checked Profile; nil is the zero one.
func (w *wireProfile) profile() (Profile, error) {
	if w == nil {
		return Profile{}, nil
	}
	ms := func(x float64) time.Duration { // what does not fit fails the check
		return time.Duration(min(max(x, -1), 2*float64(maxTime/time.Millisecond)) * float64(time.Millisecond))
	}
	p := Profile{
		Rate: w.Rate, Queue: w.Queue, Delay: ms(w.Delay), Jitter: ms(w.Jitter), JitterTime: ms(w.JitterTime), Reorder: w.Reorder,
		Loss: w.Loss, Burst: Burst{w.BurstEnter, w.BurstLeave, w.BurstLoss},
		Outage: Outage{ms(w.OutEvery), ms(w.OutFor), w.OutHold}, Cut: w.Cut,
	}
	return p, p.Check()
}

// Control obeys lines of JSON until in ends, with one line of JSON for each:
//
//	{"op":"set","preset":"rural-3g"}                          all clients, {"ok":true}
//	{"op":"set","up":{"rate_bps":300000,"queue_bytes":30000},"down":{},"client":50123}
//	{"op":"set","preset":"satellite","new":true}              clients to come
//	{"op":"counters"}                                         {"ok":true,"counters":…}
//	{"op":"presets"}                                          {"ok":true,"presets":…}
//
// A line it cannot obey is answered {"ok":false,"error":"…"}.
func (r *Relay) Control(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	encode := json.NewEncoder(out)
	for lines.Scan() {
		answer, err := r.obey(lines.Bytes())
		if err != nil {
			answer = map[string]any{"ok": false, "error": err.Error()}
		}
		if err := encode.Encode(answer); err != nil {
			return fmt.Errorf("answering: %w", err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading commands: %w", err)
	}
	return nil
}

func (r *Relay) obey(line []byte) (map[string]any, error) {
	q, err := parse(line)
	if err != nil {
		return nil, err
	}
	answer := map[string]any{"ok": true}
	switch q.Op {
	case "counters":
		answer["counters"] = r.Counters()
	case "presets":
		all := map[string]map[string]wireProfile{}
		for _, p := range Presets() {
			all[p.Name] = map[string]wireProfile{"up": toWire(p.Up), "down": toWire(p.Down)}
		}
		answer["presets"] = all
	case "set":
		up, down, err := q.profiles()
		if err != nil {
			return nil, err
		}
		return answer, q.set(r, up, down)
	default:
		return nil, fmt.Errorf("unknown op %q", q.Op)
	}
	return answer, nil
}

func (q request) set(r *Relay, up, down Profile) error {
	switch {
	case q.New && q.Client != 0:
		return errors.New("a client is known, or to come")
	case q.New:
		return r.SetNew(up, down)
	case q.Client != 0:
		return r.SetClient(q.Client, up, down)
	}
	return r.Set(up, down)
}

func parse(line []byte) (q request, err error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		return q, fmt.Errorf("no command: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return q, errors.New("more than one command in a line")
	}
	return q, nil
}

// profiles are those of the preset, or those that were given.
func (q request) profiles() (up, down Profile, err error) {
	if q.Preset != "" {
		p, ok := PresetNamed(q.Preset)
		if !ok || q.Up != nil || q.Down != nil {
			return up, down, fmt.Errorf("no preset %q, or profiles beside it", q.Preset)
		}
		return p.Up, p.Down, nil
	}
	up, errUp := q.Up.profile()
	down, errDown := q.Down.profile()
	return up, down, errors.Join(errUp, errDown)
}
