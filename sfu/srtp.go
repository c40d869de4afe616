package sfu

import (
	"errors"
	"fmt"

	"github.com/pion/dtls/v3"
	"github.com/pion/srtp/v3"
)

// srtpLabel is the exporter label of RFC 5764 section 4.2.
const srtpLabel = "EXTRACTOR-dtls_srtp"

// replayWindow is how many packets of a stream may arrive out of order
// (RFC 3711 section 3.3.2 asks for at least 64).
const replayWindow = 512

var srtpProfiles = map[dtls.SRTPProtectionProfile]srtp.ProtectionProfile{
	dtls.SRTP_AEAD_AES_128_GCM:       srtp.ProtectionProfileAeadAes128Gcm,
	dtls.SRTP_AEAD_AES_256_GCM:       srtp.ProtectionProfileAeadAes256Gcm,
	dtls.SRTP_AES128_CM_HMAC_SHA1_80: srtp.ProtectionProfileAes128CmHmacSha1_80,
}

// srtpContexts derives both directions' keys from a finished handshake in
// which we are the server (RFC 5764 section 4.2).
func srtpContexts(d *dtls.Conn) (in, out *srtp.Context, profile srtp.ProtectionProfile, err error) {
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
	if in, err = srtp.CreateContext(clientKey, clientSalt, profile,
		srtp.SRTPReplayProtection(replayWindow), srtp.SRTCPReplayProtection(64)); err != nil {
		return nil, nil, 0, err
	}
	out, err = srtp.CreateContext(serverKey, serverSalt, profile)
	return in, out, profile, err
}
