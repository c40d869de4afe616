package sfu

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/sfu/negotiate"
)

// rig is a room without ICE, DTLS, worker and wall clock: packets go straight
// into the receive path under real SRTP, and out to sockets the test reads.
type rig struct {
	t    testing.TB
	sfu  *SFU
	room *Room
	reg  *prometheus.Registry
	now  time.Time
	out  *burst
	sink *net.UDPConn // the clients' socket if they share one
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, reg: prometheus.NewRegistry(), now: time.Unix(1_700_000_000, 0)}
	s, err := New(Config{Addr: "127.0.0.1:0", Now: func() time.Time { return r.now }}, slog.New(slog.DiscardHandler), r.reg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	r.sfu, r.out = s, newBurst(s.conn.Conn)
	r.clear()
	return r
}

// clear starts with an empty room.
func (r *rig) clear() {
	r.room = &Room{
		id: "r", sfu: r.sfu, participants: map[string]*Participant{},
		kick: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	close(r.room.done)
}

// tick lets time pass and does what the room's worker does.
func (r *rig) tick(d time.Duration) {
	r.now = r.now.Add(d)
	r.room.mu.Lock()
	r.room.tickLocked(r.now, true, r.out.Batch)
	r.room.mu.Unlock()
	r.flush()
	r.room.tell()
}

func (r *rig) flush() {
	r.out.end()
}

// peer is a participant of a rig and its client's side of one transport.
type peer struct {
	r        *rig
	p        *Participant
	tr       *transport
	told     *recorder
	in, out  *srtp.Context // the client's
	sock     *net.UDPConn
	seq      map[uint32]uint16
	datagram [1500]byte
}

// recorder is an Observer.
type recorder struct {
	slots   [][]Slot
	states  []string
	sending []map[string][]SendLayer
	speaker []string
	quality []Quality
	stalled [][]string
}

func (o *recorder) SlotsChanged(s []Slot)                { o.slots = append(o.slots, s) }
func (o *recorder) SendChanged(s map[string][]SendLayer) { o.sending = append(o.sending, s) }
func (o *recorder) QualityChanged(q Quality)             { o.quality = append(o.quality, q) }
func (o *recorder) StalledChanged(s []string)            { o.stalled = append(o.stalled, s) }
func (o *recorder) SpeakerChanged(id string)             { o.speaker = append(o.speaker, id) }
func (o *recorder) MediaChanged(state string)            { o.states = append(o.states, state) }

// join adds a participant whose SRTP is up and whose client is ready.
func (r *rig) join(id string, o offerSpec) *peer {
	r.t.Helper()
	told := &recorder{}
	p := &Participant{
		id: id, room: r.room, sfu: r.sfu, grants: consult.DefaultGrants(consult.Doctor), observer: told,
		publications: map[string]*publication{},
	}
	v := r.connect(p, o)
	v.told = told
	p.transport = v.tr
	v.apply(o)
	if _, err := r.room.add(p); err != nil {
		r.t.Fatal(err)
	}
	v.up()
	p.Ready()
	r.tick(0)
	return v
}

// connect makes a transport of p, without ICE, and its client.
func (r *rig) connect(p *Participant, o offerSpec) *peer {
	r.t.Helper()
	sock := r.sink
	if sock == nil {
		sock = r.listen()
	}
	t := &transport{sfu: r.sfu, room: r.room, owner: p, done: make(chan struct{}), fingerprint: "sha-256 " + fingerprintOf(o.cert)}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.media.init()
	v := &peer{r: r, p: p, tr: t, sock: sock, seq: map[uint32]uint16{}}
	return v
}

func (r *rig) listen() *net.UDPConn {
	r.t.Helper()
	sock, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = sock.Close() })
	_ = sock.SetReadBuffer(4 << 20)
	return sock
}

func (v *peer) apply(o offerSpec) map[string]negotiate.Line {
	v.r.t.Helper()
	sdp, intents := o.sdp()
	offer, err := negotiate.Parse(sdp)
	if err != nil {
		v.r.t.Fatal(err)
	}
	lines, err := v.tr.apply(offer, intents)
	if err != nil {
		v.r.t.Fatal(err)
	}
	return lines
}

// up opens SRTP with fixed keys, AES-GCM as browsers choose it.
func (v *peer) up() {
	v.r.t.Helper()
	context := func(b byte, opts ...srtp.ContextOption) *srtp.Context {
		key, salt := []byte(strings.Repeat(string(rune(b)), 16)), []byte("saltsaltsalt")
		c, err := srtp.CreateContext(key, salt, srtp.ProtectionProfileAeadAes128Gcm, opts...)
		if err != nil {
			v.r.t.Fatal(err)
		}
		return c
	}
	v.out, v.in = context('c'), context('s')
	key := func(b byte) ([]byte, []byte) {
		return []byte(strings.Repeat(string(rune(b)), 16)), []byte("saltsaltsalt")
	}
	clientKey, salt := key('c')
	in, err := newInSRTP(clientKey, salt, srtp.ProtectionProfileAeadAes128Gcm, v.r.sfu.ownSRTP)
	if err != nil {
		v.r.t.Fatal(err)
	}
	serverKey, salt := key('s')
	out, err := newOutSRTP(serverKey, salt, srtp.ProtectionProfileAeadAes128Gcm, v.r.sfu.ownSRTP)
	if err != nil {
		v.r.t.Fatal(err)
	}
	v.r.room.transportUp(v.tr, in, out, 0)
	v.r.room.remoteChanged(v.tr, v.sock.LocalAddr().(*net.UDPAddr).AddrPort())
}

// rtpPacket is a packet of a stream, without extensions.
func rtpPacket(ssrc uint32, pt uint8, seq uint16, ts uint32, payload []byte) *rtp.Packet {
	return &rtp.Packet{
		Header:  rtp.Header{Version: 2, PayloadType: pt, SequenceNumber: seq, Timestamp: ts, SSRC: ssrc, Marker: true},
		Payload: payload,
	}
}

// send brings a packet in as if it came from the network.
func (v *peer) send(p *rtp.Packet) {
	v.r.t.Helper()
	v.tr.receive(v.seal(p), v.r.now, v.r.out)
	v.r.flush()
}

// seal returns the encrypted datagram, valid until the next call.
func (v *peer) seal(p *rtp.Packet) []byte {
	v.r.t.Helper()
	raw, err := p.Marshal()
	if err != nil {
		v.r.t.Fatal(err)
	}
	enc, err := v.out.EncryptRTP(v.datagram[:0], raw, nil)
	if err != nil {
		v.r.t.Fatal(err)
	}
	return enc
}

// video sends one frame of one packet on a stream, with its mid and rid.
func (v *peer) video(ssrc uint32, rid string, key bool, text string) {
	v.r.t.Helper()
	v.seq[ssrc]++
	n := v.seq[ssrc]
	p := rtpPacket(ssrc, ptVP8, n, uint32(n)*3000, append([]byte{0x10}, vp8Frame(key, text)...))
	if rid != "" {
		_ = p.SetExtension(idMid, []byte("camera"))
		_ = p.SetExtension(idRID, []byte(rid))
	}
	v.send(p)
}

// audio sends one Opus packet.
func (v *peer) audio(text string) {
	v.r.t.Helper()
	v.seq[ssrcMic]++
	n := v.seq[ssrcMic]
	v.send(rtpPacket(ssrcMic, ptOpus, n, uint32(n)*960, []byte("\xf8"+text)))
}

// rtcp brings RTCP in as if it came from the network.
func (v *peer) rtcp(packets ...rtcp.Packet) {
	v.r.t.Helper()
	raw, err := rtcp.Marshal(packets)
	if err != nil {
		v.r.t.Fatal(err)
	}
	enc, err := v.out.EncryptRTCP(nil, raw, nil)
	if err != nil {
		v.r.t.Fatal(err)
	}
	v.tr.receive(enc, v.r.now, v.r.out)
	v.r.flush()
}

// received is what has been sent to the client since the last call. A datagram
// sent behind it says where it ends.
func (v *peer) received() (media []*rtp.Packet, control []rtcp.Packet) {
	v.r.t.Helper()
	end := []byte("end")
	if _, err := v.r.out.WriteTo(end, v.sock.LocalAddr().(*net.UDPAddr).AddrPort()); err != nil {
		v.r.t.Fatal(err)
	}
	v.r.flush()
	_ = v.sock.SetReadDeadline(time.Now().Add(waitLimit))
	buf := make([]byte, 2000)
	for {
		n, err := v.sock.Read(buf)
		if err != nil {
			v.r.t.Fatal(err)
		}
		switch b := buf[:n]; {
		case string(b) == string(end):
			return media, control
		case isRTCP(b):
			plain, err := v.in.DecryptRTCP(nil, b, nil)
			if err != nil {
				v.r.t.Fatal(err)
			}
			packets, err := rtcp.Unmarshal(plain)
			if err != nil {
				v.r.t.Fatal(err)
			}
			control = append(control, packets...)
		default:
			plain, err := v.in.DecryptRTP(nil, b, nil)
			if err != nil {
				v.r.t.Fatal(err)
			}
			p := &rtp.Packet{}
			if err := p.Unmarshal(plain); err != nil {
				v.r.t.Fatal(err)
			}
			media = append(media, p)
		}
	}
}

// texts are the texts of payloads, joined. They start with a letter.
func texts(packets []*rtp.Packet) string {
	var out []string
	for _, p := range packets {
		b := p.Payload
		for len(b) > 0 && (b[0] < 'A' || b[0] > 'z') {
			b = b[1:]
		}
		out = append(out, string(b))
	}
	return strings.Join(out, " ")
}

// keyFrameRequests counts PLI and FIR.
func keyFrameRequests(control []rtcp.Packet) (n int) {
	for _, c := range control {
		switch c.(type) {
		case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
			n++
		}
	}
	return n
}

// counter is the value of a counter without labels.
func (r *rig) counter(name string) float64 {
	r.t.Helper()
	return counter(r.t, r.reg, name)
}

func counter(t testing.TB, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "chatmed_sfu_"+name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no counter %s", name)
	return 0
}
