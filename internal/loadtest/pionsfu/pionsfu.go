// Package pionsfu is the yardstick of the path around Pion's PeerConnection: the
// usual SFU on Pion, a goroutine per track that reads packets and writes them to
// every subscriber's track, with no interceptors, on the same socket as ours. It
// forwards and does nothing else. The load test can be put on it like on any
// server; it is no part of the product.
package pionsfu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"

	"github.com/chatmed/chatmed/sfu/udpmux"
)

const (
	gatherTimeout  = 10 * time.Second
	requestTimeout = 15 * time.Second
	maxOffer       = 1 << 20
	// JoinPath takes a JoinRequest and answers a JoinAnswer.
	JoinPath = "/join"
)

// JoinRequest is a participant's offer: its own sendonly lines and a recvonly
// pair for each publication it is to see.
type JoinRequest struct {
	Room  int    `json:"room"`
	Offer string `json:"offer"` // SDP
}

// JoinAnswer is the SDP answer with all candidates.
type JoinAnswer struct {
	Answer string `json:"answer"`
}

// Server is the yardstick, listening.
type Server struct {
	socket *udpmux.Conn
	api    *webrtc.API
	http   *http.Server
	serve  sync.WaitGroup
	media  sync.WaitGroup // goroutines of the tracks
	addr   net.Addr

	mu    sync.Mutex
	rooms map[int]*room
	pcs   []*webrtc.PeerConnection
}

// Listen answers HTTP at addr and media at a free UDP port of mediaIP.
func Listen(ctx context.Context, addr string, mediaIP netip.Addr) (*Server, error) {
	socket, err := udpmux.Listen(udpmux.Config{Addr: netip.AddrPortFrom(mediaIP, 0).String()}, nil, nil)
	if err != nil {
		return nil, err
	}
	s := &Server{socket: socket, rooms: map[int]*room{}}
	var media webrtc.MediaEngine
	if err := media.RegisterDefaultCodecs(); err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	var se webrtc.SettingEngine
	se.SetICEUDPMux(webrtc.NewICEUDPMux(nil, socket))
	se.SetIncludeLoopbackCandidate(true)
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	if err := se.SetAnsweringDTLSRole(webrtc.DTLSRoleServer); err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	se.SetDTLSInsecureSkipHelloVerify(true)
	se.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80)
	s.api = webrtc.NewAPI(webrtc.WithMediaEngine(&media), webrtc.WithSettingEngine(se), webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	s.addr = l.Addr()
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+JoinPath, s.join)
	s.http = &http.Server{Handler: mux, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout}
	s.serve.Go(func() { _ = s.http.Serve(l) }) // ends with Close
	return s, nil
}

// Addr is where HTTP is answered.
func (s *Server) Addr() net.Addr { return s.addr }

// Close ends every connection.
func (s *Server) Close() error {
	err := s.http.Close()
	s.serve.Wait()
	s.mu.Lock()
	pcs := s.pcs
	s.pcs = nil
	s.mu.Unlock()
	for _, pc := range pcs {
		err = errors.Join(err, pc.GracefulClose())
	}
	s.media.Wait()
	return errors.Join(err, s.socket.Close())
}

func (s *Server) join(w http.ResponseWriter, r *http.Request) {
	var req JoinRequest
	if err := json.NewDecoder(io.LimitReader(r.Body, maxOffer)).Decode(&req); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := s.admit(r.Context(), req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	_ = json.NewEncoder(w).Encode(JoinAnswer{answer}) // the client may be gone
}

func (s *Server) admit(ctx context.Context, req JoinRequest) (string, error) {
	pc, err := s.api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	s.pcs = append(s.pcs, pc)
	rm := s.rooms[req.Room]
	if rm == nil {
		rm = &room{}
		s.rooms[req.Room] = rm
	}
	s.mu.Unlock()
	p := &participant{}
	pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		s.media.Add(1)
		defer s.media.Done()
		rm.forward(p, t)
	})
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: req.Offer}); err != nil {
		return "", err
	}
	if err := s.addSlots(pc, p, req.Offer); err != nil {
		return "", err
	}
	rm.add(p)
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(answer); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, gatherTimeout)
	defer cancel()
	select {
	case <-gathered:
		return pc.LocalDescription().SDP, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// addSlots answers each recvonly line of the offer with a track of ours.
func (s *Server) addSlots(pc *webrtc.PeerConnection, p *participant, offer string) error {
	var parsed webrtc.SessionDescription
	parsed.Type, parsed.SDP = webrtc.SDPTypeOffer, offer
	d, err := parsed.Unmarshal()
	if err != nil {
		return err
	}
	for i, m := range d.MediaDescriptions {
		if _, receives := m.Attribute("recvonly"); !receives {
			continue
		}
		mime := webrtc.MimeTypeVP8
		if m.MediaName.Media == "audio" {
			mime = webrtc.MimeTypeOpus
		}
		t, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, fmt.Sprint(i), "slot")
		if err != nil {
			return err
		}
		sender, err := pc.AddTrack(t)
		if err != nil {
			return err
		}
		p.slots = append(p.slots, &slot{kind: t.Kind(), track: t})
		s.media.Go(func() { drain(sender) })
	}
	return nil
}

// drain reads RTCP away until the connection is closed.
func drain(sender *webrtc.RTPSender) {
	buf := make([]byte, 1500)
	for {
		if _, _, err := sender.Read(buf); err != nil {
			return
		}
	}
}

// room forwards between its participants.
type room struct {
	mu     sync.RWMutex
	people []*participant
	flows  []*flow
}

// participant is who receives. slots is immutable once it is in the room, the
// slots' sources are guarded by room.mu.
type participant struct{ slots []*slot }

type slot struct {
	kind  webrtc.RTPCodecType
	track *webrtc.TrackLocalStaticRTP
	taken bool
}

// flow is one remote track and where it goes; subs is guarded by room.mu.
type flow struct {
	from *participant
	kind webrtc.RTPCodecType
	subs []*webrtc.TrackLocalStaticRTP
}

func (r *room) add(p *participant) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.people = append(r.people, p)
	for _, f := range r.flows {
		f.connect(p)
	}
}

// connect gives p's next free slot to the flow. The room is locked.
func (f *flow) connect(p *participant) {
	if p == f.from {
		return
	}
	for _, s := range p.slots {
		if s.kind == f.kind && !s.taken {
			s.taken = true
			f.subs = append(f.subs, s.track)
			return
		}
	}
}

// forward copies a track to everyone else until it ends.
func (r *room) forward(from *participant, t *webrtc.TrackRemote) {
	f := &flow{from: from, kind: t.Kind()}
	r.mu.Lock()
	r.flows = append(r.flows, f)
	for _, p := range r.people {
		f.connect(p)
	}
	r.mu.Unlock()
	buf := make([]byte, 1500)
	for {
		n, _, err := t.Read(buf)
		if err != nil {
			return
		}
		r.mu.RLock()
		subs := f.subs
		r.mu.RUnlock()
		for _, s := range subs {
			_, _ = s.Write(buf[:n]) // a subscriber that has gone is no concern of the others
		}
	}
}
