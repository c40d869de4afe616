package loadtest

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

const maxPayload = 1200

// outStream is one SSRC of a publisher. All but the atomics belong to the
// publisher's goroutine.
type outStream struct {
	id      uint8 // of the stamp
	track   *webrtc.TrackLocalStaticRTP
	sender  *webrtc.RTPSender
	layer   layer
	packet  rtp.Packet
	buf     [maxPayload]byte
	counter uint32
	picture uint16
	lastKey time.Duration
	ext     streamExtensions // simulcast only

	keyWanted atomic.Bool
	sent      atomic.Uint64 // packets of the window
}

// streamExtensions are the header extensions by which a receiver tells the
// encodings of a simulcast apart (RFC 8852).
type streamExtensions struct {
	midID, ridID uint8
	mid, rid     []byte
}

// publisher sends one person's microphone and camera in real time. run is its
// only goroutine beside one reader of feedback for each stream.
type publisher struct {
	id      uint32
	profile profile
	win     *window
	phase   time.Duration // of its frames, so that publishers do not send in step
	audio   *outStream
	video   []*outStream

	readers sync.WaitGroup
	begun   atomic.Bool
	lag     histogram     // how late a frame of the window left; read after run
	planned atomic.Uint64 // frames of the window that were due
	late    atomic.Uint64 // of them, those that left too late to be real time
}

// tooLate is the lag beyond which a frame is no real time any more.
const tooLate = 20 * time.Millisecond

func newPublisher(id uint32, p profile, win *window) *publisher {
	pub := &publisher{id: id, profile: p, win: win, phase: time.Duration(rand.Int64N(int64(p.frame)))}
	pub.audio = newOutStream(streamAudio, layer{})
	for i, l := range p.layers {
		pub.video = append(pub.video, newOutStream(streamVideo+uint8(i), l))
	}
	return pub
}

func newOutStream(id uint8, l layer) *outStream {
	s := &outStream{id: id, layer: l, lastKey: -keyEvery}
	s.packet.Version = 2
	s.packet.SequenceNumber = uint16(rand.Uint32())
	s.packet.Timestamp = rand.Uint32()
	for i := range s.buf { // no compression of what compresses well may flatter anyone
		s.buf[i] = byte(rand.Uint32())
	}
	return s
}

// attach adds the sendonly lines to pc, before its first offer.
func (p *publisher) attach(pc *webrtc.PeerConnection) (mids func() (audio, video string), err error) {
	mime := webrtc.MimeTypeOpus
	if p.profile.red {
		mime = mimeRED
	}
	at, err := p.addTrack(pc, p.audio, mime)
	if err != nil || len(p.video) == 0 {
		return func() (string, string) { return at.Mid(), "" }, err
	}
	vt, err := p.addTrack(pc, p.video[0], webrtc.MimeTypeVP8)
	if err != nil {
		return nil, err
	}
	for _, s := range p.video[1:] {
		if err := p.newTrack(s, webrtc.MimeTypeVP8); err != nil {
			return nil, err
		}
		if err := vt.Sender().AddEncoding(s.track); err != nil {
			return nil, err
		}
		s.sender = vt.Sender()
	}
	return func() (string, string) { return at.Mid(), vt.Mid() }, nil
}

func (p *publisher) newTrack(s *outStream, mime string) (err error) {
	var opts []func(*webrtc.TrackLocalStaticRTP)
	if s.layer.rid != "" {
		opts = append(opts, webrtc.WithRTPStreamID(s.layer.rid))
	}
	codec := webrtc.RTPCodecCapability{MimeType: mime, ClockRate: 48000, Channels: 2}
	kind := "microphone"
	if s.id >= streamVideo {
		kind, codec.ClockRate, codec.Channels = "camera", 90000, 0
	}
	s.track, err = webrtc.NewTrackLocalStaticRTP(codec, kind, "load", opts...)
	return err
}

func (p *publisher) addTrack(pc *webrtc.PeerConnection, s *outStream, mime string) (*webrtc.RTPTransceiver, error) {
	if err := p.newTrack(s, mime); err != nil {
		return nil, err
	}
	t, err := pc.AddTransceiverFromTrack(s.track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err == nil {
		s.sender = t.Sender()
	}
	return t, err
}

// start reads feedback and sends until ctx ends; wait waits for that and for
// the connection's end. It is called once the connection is up.
func (p *publisher) start(ctx context.Context, mids func() (string, string), work *sync.WaitGroup) {
	if !p.begun.CompareAndSwap(false, true) {
		return
	}
	_, mid := mids()
	for _, s := range p.video {
		s.learnExtensions(mid)
		p.readers.Go(s.readFeedback)
	}
	p.readers.Go(p.audio.readFeedback)
	work.Go(func() { p.run(ctx) })
}

// readFeedback takes requests for key frames until the sender is stopped.
func (s *outStream) readFeedback() {
	buf := make([]byte, 1500)
	for {
		var n int
		var err error
		if s.layer.rid != "" {
			n, _, err = s.sender.ReadSimulcast(buf, s.layer.rid)
		} else {
			n, _, err = s.sender.Read(buf)
		}
		if err != nil {
			return
		}
		if wantsKeyFrame(buf[:n]) {
			s.keyWanted.Store(true)
		}
	}
}

// wantsKeyFrame looks for PLI or FIR in a compound packet (RFC 4585, RFC 5104).
func wantsKeyFrame(b []byte) bool {
	for len(b) >= 4 {
		if b[1] == 206 && (b[0]&0x1f == 1 || b[0]&0x1f == 4) {
			return true
		}
		n := 4 * (1 + int(binary.BigEndian.Uint16(b[2:])))
		if n > len(b) {
			return false
		}
		b = b[n:]
	}
	return false
}

// learnExtensions notes the ids negotiated for a simulcast.
func (s *outStream) learnExtensions(mid string) {
	if s.layer.rid == "" {
		return
	}
	s.ext.mid, s.ext.rid = []byte(mid), []byte(s.layer.rid)
	for _, x := range s.sender.GetParameters().HeaderExtensions {
		switch x.URI {
		case uriMid:
			s.ext.midID = uint8(x.ID)
		case uriRID:
			s.ext.ridID = uint8(x.ID)
		}
	}
}

// run sends frames when they are due. A frame that is late is sent at once and
// the next is due as if it had not been: the average rate stays.
func (p *publisher) run(ctx context.Context) {
	nextAudio := p.win.now() + p.phase
	nextVideo := nextAudio
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		due := nextAudio
		if len(p.video) > 0 {
			due = min(due, nextVideo)
		}
		if wait := due - p.win.now(); wait > 0 {
			timer.Reset(wait)
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
		} else if ctx.Err() != nil {
			return
		}
		p.account(due)
		var err error
		if due == nextAudio {
			err = p.sendAudio()
			nextAudio += audioInterval
		} else {
			err = p.sendVideo()
			nextVideo += p.profile.frame
		}
		if errors.Is(err, io.ErrClosedPipe) {
			return
		}
	}
}

// account notes how late a frame is.
func (p *publisher) account(due time.Duration) {
	if !p.win.has(due) {
		return
	}
	lag := p.win.now() - due
	p.planned.Add(1)
	p.lag.add(lag)
	if lag > tooLate {
		p.late.Add(1)
	}
}

func (p *publisher) sendAudio() error {
	s := p.audio
	size := audioMin + rand.IntN(audioSpread)
	b := s.buf[:size]
	b[0] = opusTOC
	if p.profile.red {
		b = s.buf[:redHeader+2*size]
		putRED(b, size)
		b[redHeader], b[redHeader+size] = opusTOC, opusTOC
	}
	s.packet.Timestamp += 960
	return p.send(s, b, false)
}

// sendVideo sends one frame of every layer as a burst.
func (p *publisher) sendVideo() error {
	now := p.win.now()
	for _, s := range p.video {
		key := now-s.lastKey >= keyEvery || (s.keyWanted.Load() && now-s.lastKey >= keyAgain)
		n := s.layer.packets
		if key {
			s.lastKey = now
			s.keyWanted.Store(false)
			n *= keyFactor
		}
		s.packet.Timestamp += uint32(p.profile.frame * 90000 / time.Second)
		s.picture = (s.picture + 1) & 0x7fff
		for i := range n {
			b := s.buf[:s.layer.size]
			putVP8(b, i == 0, key, s.picture, uint8(s.picture), s.layer)
			if err := p.send(s, b, i == n-1); err != nil {
				return err
			}
		}
	}
	return nil
}

// send stamps a payload and sends it.
func (p *publisher) send(s *outStream, b []byte, marker bool) error {
	s.counter++
	sent := p.win.now()
	stamp{stream: s.id, publisher: p.id, counter: s.counter, sent: sent}.put(b)
	h := &s.packet.Header
	h.SequenceNumber++
	h.Marker = marker
	if s.ext.midID != 0 && s.ext.ridID != 0 {
		if err := errors.Join(h.SetExtension(s.ext.midID, s.ext.mid), h.SetExtension(s.ext.ridID, s.ext.rid)); err != nil {
			return err
		}
	}
	s.packet.Payload = b
	err := s.track.WriteRTP(&s.packet)
	if p.win.has(sent) {
		s.sent.Add(1)
	}
	return err
}

// streams are all of a publisher.
func (p *publisher) streams() []*outStream { return append([]*outStream{p.audio}, p.video...) }
