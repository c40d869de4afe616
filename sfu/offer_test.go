package sfu

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/sfu/negotiate"
)

// Payload types and extension ids of the rig's offers.
const (
	ptOpus, ptRED, ptVP8, ptRTX  = 111, 63, 96, 97
	ptOpusRTX                    = 121
	idMid, idRID, idRepaired     = 4, 10, 11
	idLevel, idOrientation       = 1, 13
	idTWCC                       = 3
	ssrcMic, ssrcCam, ssrcCamRTX = 1001, 2001, 2002
)

// offerSpec describes an offer: own lines by source, then slots.
type offerSpec struct {
	own    []ownSpec
	slots  int
	noRED  bool
	noRTX  bool
	twcc   bool   // transport-wide numbers
	vp9    bool   // in place of VP8
	repeat bool   // sound is repeated, over RTX
	cert   string // makes another fingerprint
	unique string // makes other ICE credentials
}

type ownSpec struct {
	source  string
	mid     string // "" is the source's name without _
	rids    []string
	ssrcs   []uint32 // primary and, for video, RTX
	muted   bool
	dropped bool // offered inactive
}

func (o ownSpec) name() string {
	if o.mid != "" {
		return o.mid
	}
	return strings.ReplaceAll(o.source, "_", "")
}

// usual is a microphone, a camera and slots.
func usual(slots int) offerSpec {
	return offerSpec{slots: slots, own: []ownSpec{
		{source: consult.SourceMicrophone, ssrcs: []uint32{ssrcMic}},
		{source: consult.SourceCamera, ssrcs: []uint32{ssrcCam, ssrcCamRTX}},
	}}
}

func (o offerSpec) sdp() (string, []Intent) {
	var lines []string
	var mids []string
	var intents []Intent
	media := func(kind, mid, dir string, extra ...string) {
		mids = append(mids, mid)
		lines = append(lines, codecLines(kind, o)...)
		lines = append(lines, "c=IN IP4 0.0.0.0", "a=mid:"+mid, "a="+dir, "a=rtcp-mux",
			fmt.Sprintf("a=ice-ufrag:ufrag%s", o.unique), "a=ice-pwd:passwordpasswordpassword"+o.unique, "a=setup:actpass",
			fmt.Sprintf("a=fingerprint:sha-256 %s", fingerprintOf(o.cert)))
		lines = append(lines, extra...)
	}
	for _, own := range o.own {
		kind, dir := "video", "sendonly"
		if kindFits(own.source, "audio") {
			kind = "audio"
		}
		if own.dropped {
			media(kind, own.name(), "inactive")
			continue
		}
		var extra []string
		if len(own.rids) > 0 {
			for _, rid := range own.rids {
				extra = append(extra, "a=rid:"+rid+" send")
			}
			extra = append(extra, "a=simulcast:send "+strings.Join(own.rids, ";"))
		}
		for _, ssrc := range own.ssrcs {
			extra = append(extra, fmt.Sprintf("a=ssrc:%d cname:x", ssrc))
		}
		if len(own.ssrcs) == 2 {
			extra = append(extra, fmt.Sprintf("a=ssrc-group:FID %d %d", own.ssrcs[0], own.ssrcs[1]))
		}
		media(kind, own.name(), dir, extra...)
		intents = append(intents, Intent{Mid: own.name(), Source: own.source, Muted: own.muted})
	}
	for i := range o.slots {
		media("audio", fmt.Sprintf("a%d", i), "recvonly")
		media("video", fmt.Sprintf("v%d", i), "recvonly")
	}
	head := []string{"v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=group:BUNDLE " + strings.Join(mids, " ")}
	return strings.Join(append(head, lines...), "\r\n") + "\r\n", intents
}

func codecLines(kind string, o offerSpec) []string {
	if kind == "audio" {
		fmts, red := fmt.Sprintf("%d", ptOpus), []string(nil)
		if !o.noRED {
			fmts, red = fmt.Sprintf("%d %d", ptRED, ptOpus), []string{fmt.Sprintf("a=rtpmap:%d red/48000/2", ptRED)}
		}
		if o.repeat {
			fmts += fmt.Sprintf(" %d", ptOpusRTX)
			red = append(red, fmt.Sprintf("a=rtcp-fb:%d nack", ptOpus), fmt.Sprintf("a=rtpmap:%d rtx/48000/2", ptOpusRTX),
				fmt.Sprintf("a=fmtp:%d apt=%d", ptOpusRTX, ptOpus))
		}
		if o.twcc {
			red = append(red, fmt.Sprintf("a=extmap:%d %s", idTWCC, negotiate.ExtTWCC))
		}
		return append([]string{
			"m=audio 9 UDP/TLS/RTP/SAVPF " + fmts, fmt.Sprintf("a=rtpmap:%d opus/48000/2", ptOpus),
			fmt.Sprintf("a=extmap:%d %s", idMid, negotiate.ExtMid), fmt.Sprintf("a=extmap:%d %s", idLevel, negotiate.ExtAudioLevel),
		}, red...)
	}
	fmts, rtx := fmt.Sprintf("%d", ptVP8), []string(nil)
	if !o.noRTX {
		fmts = fmt.Sprintf("%d %d", ptVP8, ptRTX)
		rtx = []string{fmt.Sprintf("a=rtpmap:%d rtx/90000", ptRTX), fmt.Sprintf("a=fmtp:%d apt=%d", ptRTX, ptVP8)}
	}
	codec := "VP8"
	if o.vp9 {
		codec = "VP9"
	}
	if o.twcc {
		rtx = append(rtx, fmt.Sprintf("a=extmap:%d %s", idTWCC, negotiate.ExtTWCC))
	}
	return append([]string{
		"m=video 9 UDP/TLS/RTP/SAVPF " + fmts, fmt.Sprintf("a=rtpmap:%d %s/90000", ptVP8, codec),
		fmt.Sprintf("a=rtcp-fb:%d nack", ptVP8),
		fmt.Sprintf("a=extmap:%d %s", idMid, negotiate.ExtMid), fmt.Sprintf("a=extmap:%d %s", idRID, negotiate.ExtRID),
		fmt.Sprintf("a=extmap:%d %s", idRepaired, negotiate.ExtRepairedRID),
		fmt.Sprintf("a=extmap:%d %s", idOrientation, negotiate.ExtOrientation),
	}, rtx...)
}

func fingerprintOf(cert string) string {
	sum := sha256.Sum256([]byte(cert))
	hex := make([]string, len(sum))
	for i, b := range sum {
		hex[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(hex, ":")
}
