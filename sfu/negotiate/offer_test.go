package negotiate_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chatmed/chatmed/sfu/negotiate"
)

// sample reads an offer of testdata with the line ends of RFC 8866.
func sample(t testing.TB, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name+".sdp"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(raw), "\n", "\r\n")
}

func parse(t testing.TB, raw string) *negotiate.Offer {
	t.Helper()
	o, err := negotiate.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func names(codecs []negotiate.Codec) string {
	var out []string
	for _, c := range codecs {
		out = append(out, fmt.Sprintf("%s/%d", c.Name, c.PT))
	}
	return strings.Join(out, " ")
}

func TestParseChromiumSimulcast(t *testing.T) {
	o := parse(t, sample(t, "chromium-simulcast"))
	if len(o.Media) != 8 || !o.AllowMixed || o.Setup != "actpass" {
		t.Fatalf("%d m-lines, mixed %t, setup %q", len(o.Media), o.AllowMixed, o.Setup)
	}
	mic, cam, slot := o.Media[0], o.Media[1], o.Media[3]
	if mic.Direction != negotiate.SendOnly || names(mic.Usable()) != "red/63 opus/111" || len(mic.SSRCs) != 1 {
		t.Errorf("microphone: %s %s %v", mic.Direction, names(mic.Usable()), mic.SSRCs)
	}
	if !slices.Equal(cam.RIDs, []string{"l", "m", "h"}) || cam.Extensions[negotiate.ExtRID] == 0 {
		t.Errorf("camera: rids %v, extensions %v", cam.RIDs, cam.Extensions)
	}
	if got := names(cam.Usable()); !strings.HasPrefix(got, "vp8/96 rtx/97") || !strings.Contains(got, "av1/") {
		t.Errorf("camera: %s", got)
	}
	for _, c := range cam.Usable() {
		if c.Name == "h264" && !strings.Contains(c.Fmtp, "packetization-mode=1") {
			t.Errorf("H.264 with %q is usable", c.Fmtp)
		}
		if c.Name == "rtx" && c.APT == 0 {
			t.Errorf("rtx %d repairs nothing", c.PT)
		}
	}
	if slot.Direction != negotiate.RecvOnly || slot.Kind != "video" || !slot.Forwardable() {
		t.Errorf("slot: %+v", slot)
	}
}

func TestParseChromiumPlain(t *testing.T) {
	o := parse(t, sample(t, "chromium-plain"))
	cam := o.Media[1]
	if len(cam.SSRCs) != 2 || cam.Repairs[cam.SSRCs[1]] != cam.SSRCs[0] {
		t.Errorf("SSRCs %v, repairs %v", cam.SSRCs, cam.Repairs)
	}
	if app := o.Media[4]; app.Kind != "application" || app.Forwardable() {
		t.Errorf("the data channel's m-line: %+v", app)
	}
}

func TestParseFirefox(t *testing.T) {
	o := parse(t, sample(t, "firefox"))
	cam := o.Media[1]
	if o.Fingerprint == "" || !slices.Equal(cam.RIDs, []string{"l", "h"}) {
		t.Errorf("fingerprint %q, rids %v", o.Fingerprint, cam.RIDs)
	}
	if got := names(cam.Usable()); got != "vp8/120 rtx/124 vp9/121 rtx/125 h264/126 rtx/127" {
		t.Errorf("usable: %s", got)
	}
	if cam.Usable()[5].APT != 126 {
		t.Error("an apt followed by rtx-time was not read")
	}
	if o.Media[2].Rejected || o.Media[3].Rejected {
		t.Error("a bundle-only m-line counts as rejected")
	}
}

// base is the smallest offer taken; the tables below change it.
const base = `v=0
o=- 1 1 IN IP4 0.0.0.0
s=-
t=0 0
a=group:BUNDLE 0 1
a=fingerprint:sha-256 5A:7C:11:90:EF:34:2B:C8:D6:05:71:9A:BD:42:E3:18:66:0F:A9:C4:3D:27:B1:58:8E:F0:14:6B:92:D7:35:AC
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=ice-ufrag:abcd
a=ice-pwd:0123456789abcdef012345
a=setup:actpass
a=mid:0
a=sendonly
a=rtcp-mux
a=rtpmap:111 opus/48000/2
m=video 9 UDP/TLS/RTP/SAVPF 96 97
c=IN IP4 0.0.0.0
a=mid:1
a=recvonly
a=rtcp-mux
a=rtpmap:96 VP8/90000
a=rtcp-fb:* nack
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
`

func edited(t testing.TB, from, to string) string {
	t.Helper()
	if from != "" && !strings.Contains(base, from) {
		t.Fatalf("the base offer has no %q", from)
	}
	return strings.ReplaceAll(strings.Replace(base, from, to, 1), "\n", "\r\n")
}

func TestRefusals(t *testing.T) {
	long := strings.Repeat("x", 300)
	for name, raw := range map[string]string{
		"empty":                 "",
		"no SDP":                "hello",
		"no m-line":             "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n",
		"too large":             edited(t, "s=-", "s="+strings.Repeat("x", negotiate.MaxOfferSize)),
		"too many m-lines":      edited(t, "", "") + strings.Repeat("m=audio 0 UDP/TLS/RTP/SAVPF 0\r\n", negotiate.MaxMedia),
		"no BUNDLE":             edited(t, "a=group:BUNDLE 0 1\n", ""),
		"another group only":    edited(t, "BUNDLE", "LS"),
		"no mid":                edited(t, "a=mid:0\n", ""),
		"empty mid":             edited(t, "a=mid:0", "a=mid:"),
		"mid not a token":       edited(t, "a=mid:0", "a=mid:a;b"),
		"long mid":              edited(t, "a=mid:0", "a=mid:"+long),
		"mid twice":             edited(t, "a=mid:1", "a=mid:0"),
		"no rtcp-mux":           edited(t, "a=rtcp-mux\n", ""),
		"no ufrag":              edited(t, "a=ice-ufrag:abcd\n", ""),
		"no password":           edited(t, "a=ice-pwd:0123456789abcdef012345\n", ""),
		"short ufrag":           edited(t, "ufrag:abcd", "ufrag:abc"),
		"short password":        edited(t, "pwd:0123456789abcdef012345", "pwd:0123456789"),
		"long password":         edited(t, "pwd:0123456789abcdef012345", "pwd:"+long),
		"ufrag with a colon":    edited(t, "ufrag:abcd", "ufrag:ab:cd"),
		"no fingerprint":        edited(t, "a=fingerprint:", "a=x:"),
		"fingerprint by SHA-1":  edited(t, "sha-256 5A", "sha-1 5A"),
		"fingerprint not hex":   edited(t, "5A:7C", "5A:ZZ"),
		"fingerprint too short": edited(t, ":35:AC", ""),
		"server is client":      edited(t, "setup:actpass", "setup:passive"),
		"setup unknown":         edited(t, "setup:actpass", "setup:holdconn"),
		"payload type too high": edited(t, "SAVPF 111", "SAVPF 128"),
		"payload type no digit": edited(t, "SAVPF 111", "SAVPF x"),
		"payload type twice":    edited(t, "SAVPF 111", "SAVPF 111 111"),
		"too many extensions":   edited(t, "a=mid:0\n", "a=mid:0\n"+manyExtensions()),
	} {
		if _, err := negotiate.Parse(raw); !errors.Is(err, negotiate.ErrOffer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := negotiate.Parse(edited(t, "", "")); err != nil {
		t.Errorf("the base offer: %v", err)
	}
}

func manyExtensions() string {
	var b strings.Builder
	for i := range 40 {
		fmt.Fprintf(&b, "a=extmap:%d urn:x:%d\n", i%14+1, i)
	}
	return b.String()
}

// Lines the server can't carry are rejected one by one, not with the offer.
func TestRejectedLines(t *testing.T) {
	for name, c := range map[string]struct{ from, to string }{
		"port 0":             {"m=video 9", "m=video 0"},
		"outside the bundle": {"BUNDLE 0 1", "BUNDLE 0"},
		"not DTLS-SRTP":      {"m=video 9 UDP/TLS/RTP/SAVPF", "m=video 9 RTP/AVP"},
		"no codec of ours":   {"VP8/90000", "VP3/90000"},
		"RTCP's numbers":     {"96 97\nc=IN IP4 0.0.0.0\na=mid:1\na=recvonly\na=rtcp-mux\na=rtpmap:96", "72 97\nc=IN IP4 0.0.0.0\na=mid:1\na=recvonly\na=rtcp-mux\na=rtpmap:72"},
	} {
		o := parse(t, edited(t, c.from, c.to))
		if o.Media[1].Forwardable() {
			t.Errorf("%s: can be forwarded", name)
		}
		if ans := o.Answer(params(o)); !strings.Contains(ans, "m=video 0 ") || !strings.Contains(ans, "a=group:BUNDLE 0\r\n") {
			t.Errorf("%s: answered with\n%s", name, ans)
		}
	}
}

func TestDetails(t *testing.T) {
	o := parse(t, edited(t, "a=rtpmap:111 opus/48000/2", `a=rtpmap:111 opus/48000/2
a=simulcast:recv x send b,c;~a;b
a=rid:a send
a=rid:b send
a=rid:c recv
a=rid:d_ send
a=extmap:0 urn:zero
a=extmap:15 urn:fifteen
a=extmap:3/sendonly `+negotiate.ExtMid))
	m := o.Media[0]
	if !slices.Equal(m.RIDs, []string{"b", "a"}) {
		t.Errorf("rids %v", m.RIDs)
	}
	if len(m.Extensions) != 1 || m.Extensions[negotiate.ExtMid] != 3 {
		t.Errorf("extensions %v", m.Extensions)
	}
	if fb := o.Media[1].Codecs[1].Feedback; !slices.Equal(fb, []string{"nack"}) {
		t.Errorf("feedback for all payload types: %v", fb)
	}
}
