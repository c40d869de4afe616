package sfu

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtp"
	pionsrtp "github.com/pion/srtp/v3"

	"github.com/chatmed/chatmed/sfu/srtp"
)

// srtpLabel is the exporter label of RFC 5764 section 4.2.
const srtpLabel = "EXTRACTOR-dtls_srtp"

// replayWindow is how many packets of a stream may arrive out of order where
// Pion opens them (RFC 3711 section 3.3.2 asks for at least 64), and
// rtcpReplayWindow of its RTCP.
const (
	replayWindow     = 512
	rtcpReplayWindow = 64
)

var srtpProfiles = map[dtls.SRTPProtectionProfile]pionsrtp.ProtectionProfile{
	dtls.SRTP_AEAD_AES_128_GCM:       pionsrtp.ProtectionProfileAeadAes128Gcm,
	dtls.SRTP_AEAD_AES_256_GCM:       pionsrtp.ProtectionProfileAeadAes256Gcm,
	dtls.SRTP_AES128_CM_HMAC_SHA1_80: pionsrtp.ProtectionProfileAes128CmHmacSha1_80,
}

// inSRTP opens what a client sends. RTP goes through our own package where the
// profile is AES-GCM, RTCP and every other profile through Pion.
type inSRTP struct {
	rtp  *srtp.Opener // nil: Pion opens RTP too
	pion *pionsrtp.Context
}

// outSRTP seals what a client is sent.
type outSRTP struct {
	rtp  *srtp.Sealer // nil: Pion seals RTP too
	pion *pionsrtp.Context
}

// openRTP decrypts p in place and reads its header.
func (c *inSRTP) openRTP(state *srtp.Incoming, p []byte, h *rtp.Header) ([]byte, error) {
	if c.rtp == nil {
		return c.pion.DecryptRTP(p[:0], p, h)
	}
	plain, err := c.rtp.Open(state, p, headerSize(p))
	if err != nil {
		return nil, err
	}
	_, err = h.Unmarshal(plain)
	return plain, err
}

// sealRTP encrypts the packet in buf[:n], whose header is buf[:header], in
// place. scratch is for Pion.
func (c *outSRTP) sealRTP(state *srtp.Outgoing, buf []byte, header, n int, scratch *rtp.Header) ([]byte, error) {
	if c.rtp == nil {
		return c.pion.EncryptRTP(buf[:0], buf[:n], scratch)
	}
	return c.rtp.Seal(state, buf[:n], header)
}

// openSRTP derives both directions' keys from a finished handshake in which we
// are the server (RFC 5764 section 4.2).
func (s *SFU) openSRTP(d *dtls.Conn) (in *inSRTP, out *outSRTP, profile pionsrtp.ProtectionProfile, err error) {
	chosen, ok := d.SelectedSRTPProtectionProfile()
	if !ok {
		return nil, nil, 0, errors.New("no SRTP profile agreed")
	}
	profile, ok = srtpProfiles[chosen]
	if !ok {
		return nil, nil, 0, fmt.Errorf("SRTP profile %d", chosen)
	}
	keyLen, err := profile.KeyLen()
	if err != nil {
		return nil, nil, 0, err
	}
	saltLen, err := profile.SaltLen()
	if err != nil {
		return nil, nil, 0, err
	}
	state, ok := d.ConnectionState()
	if !ok {
		return nil, nil, 0, errors.New("dtls state not available")
	}
	m, err := state.ExportKeyingMaterial(srtpLabel, nil, 2*(keyLen+saltLen))
	if err != nil {
		return nil, nil, 0, fmt.Errorf("export keys: %w", err)
	}
	clientKey, m := m[:keyLen], m[keyLen:]
	serverKey, m := m[:keyLen], m[keyLen:]
	clientSalt, serverSalt := m[:saltLen], m[saltLen:]
	if in, err = newInSRTP(clientKey, clientSalt, profile, s.ownSRTP); err != nil {
		return nil, nil, 0, err
	}
	out, err = newOutSRTP(serverKey, serverSalt, profile, s.ownSRTP)
	return in, out, profile, err
}

func isGCM(p pionsrtp.ProtectionProfile) bool {
	return p == pionsrtp.ProtectionProfileAeadAes128Gcm || p == pionsrtp.ProtectionProfileAeadAes256Gcm
}

func newInSRTP(key, salt []byte, profile pionsrtp.ProtectionProfile, own bool) (c *inSRTP, err error) {
	c = &inSRTP{}
	if own && isGCM(profile) {
		if c.rtp, err = srtp.NewOpener(key, salt); err != nil {
			return nil, err
		}
	}
	c.pion, err = pionsrtp.CreateContext(key, salt, profile,
		pionsrtp.SRTPReplayProtection(replayWindow), pionsrtp.SRTCPReplayProtection(rtcpReplayWindow))
	return c, err
}

func newOutSRTP(key, salt []byte, profile pionsrtp.ProtectionProfile, own bool) (c *outSRTP, err error) {
	c = &outSRTP{}
	if own && isGCM(profile) {
		if c.rtp, err = srtp.NewSealer(key, salt); err != nil {
			return nil, err
		}
	}
	c.pion, err = pionsrtp.CreateContext(key, salt, profile)
	return c, err
}

// checkSRTP has our own SRTP and Pion's read each other, with every profile
// that we do ourselves. An error means that Pion's is to be used.
func checkSRTP() error {
	for _, profile := range []pionsrtp.ProtectionProfile{
		pionsrtp.ProtectionProfileAeadAes128Gcm, pionsrtp.ProtectionProfileAeadAes256Gcm,
	} {
		keyLen, err := profile.KeyLen()
		if err != nil {
			return err
		}
		key, salt := bytes.Repeat([]byte{7}, keyLen), bytes.Repeat([]byte{9}, srtp.SaltSize)
		for _, own := range []bool{true, false} {
			out, err := newOutSRTP(key, salt, profile, own)
			if err != nil {
				return err
			}
			in, err := newInSRTP(key, salt, profile, !own)
			if err != nil {
				return err
			}
			if err := passSRTP(in, out); err != nil {
				return fmt.Errorf("%v, own sealing %t: %w", profile, own, err)
			}
		}
	}
	return nil
}

// passSRTP sends a few packets through both, over a wrap of the sequence number.
func passSRTP(in *inSRTP, out *outSRTP) error {
	var sent srtp.Outgoing
	var got srtp.Incoming
	for i := range 4 {
		p := rtp.Packet{
			Header:  rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: uint16(1<<16 - 2 + i), Timestamp: 3, SSRC: 4},
			Payload: []byte("a packet of the check at start-up"),
		}
		plain, err := p.Marshal()
		if err != nil {
			return err
		}
		buf := append(make([]byte, 0, len(plain)+srtp.Overhead), plain...)
		enc, err := out.sealRTP(&sent, buf[:cap(buf)], p.Header.MarshalSize(), len(plain), &rtp.Header{})
		if err != nil {
			return err
		}
		if bytes.Contains(enc, p.Payload) {
			return errors.New("sent in clear")
		}
		back, err := in.openRTP(&got, enc, &rtp.Header{})
		if err != nil {
			return err
		}
		if !bytes.Equal(back, plain) {
			return errors.New("another packet came out")
		}
	}
	return nil
}
