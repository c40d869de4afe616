package relay

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"net"
	"testing"

	"github.com/pion/stun/v4"
)

func binding() []byte { return stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw }

func check() []byte {
	return stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername("a:b"), stun.Fingerprint).Raw
}

func framed(p []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(p))), p...) }

// clientHello is what Go's own client sends first.
func clientHello(t testing.TB) []byte {
	a, b := net.Pipe()
	done := make(chan []byte, 1)
	go func() {
		buf := make([]byte, 4096)
		n, _ := b.Read(buf)
		_ = b.Close()
		done <- buf[:n]
	}()
	_ = tls.Client(a, &tls.Config{ServerName: "localhost"}).Handshake()
	_ = a.Close()
	return <-done
}

func TestClassify(t *testing.T) {
	allocate := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest)).Raw
	broken := bytes.Clone(binding())
	broken[5]++
	for name, c := range map[string]struct {
		p    []byte
		want Kind
	}{
		"nothing":              {nil, More},
		"get":                  {[]byte("GET / HTTP/1.1\r\n"), HTTP},
		"options":              {[]byte("OPTIONS * HTTP/1.1\r\n"), HTTP},
		"http/2 preface":       {[]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), HTTP},
		"two letters":          {[]byte("GE"), More},
		"ssh":                  {[]byte("SSH-2.0-OpenSSH_9.2\r\n"), HTTP}, // net/http refuses it
		"lower case":           {[]byte("get / http/1.1\r\n"), Unknown},
		"channel data":         {[]byte{0x40, 0, 0, 4, 1, 2, 3, 4}, Unknown},
		"channel as letter":    {[]byte{0x41, 0, 0, 4}, Unknown},
		"client hello":         {clientHello(t), TLS},
		"half a record":        {clientHello(t)[:5], More},
		"server hello":         {[]byte{22, 3, 3, 0, 60, 2}, Unknown},
		"tls alert":            {[]byte{21, 3, 3, 0, 2, 1, 0}, Unknown},
		"sslv2":                {[]byte{0x80, 0x2e, 1, 3, 1}, Unknown},
		"binding":              {binding(), STUN},
		"allocate":             {allocate, STUN},
		"stun's first 7":       {binding()[:7], More},
		"stun, wrong cookie":   {broken, Unknown},
		"framed check":         {framed(check()), Framed},
		"framed, 9 bytes":      {framed(check())[:9], More},
		"framed dtls":          {framed([]byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}), Unknown},
		"framed, wrong length": {append([]byte{0, 21}, binding()...), Unknown},
		"zeros":                {make([]byte, 32), Unknown},
		"postgres":             {[]byte{0, 0, 0, 8, 4, 210, 22, 47}, Unknown},
		"rdp":                  {[]byte{3, 0, 0, 19, 14, 224, 0, 0, 0, 0, 0}, Unknown},
	} {
		if got := Classify(c.p); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		steady(t, c.p)
	}
}

// steady checks that no beginning of p is called other than p itself.
func steady(t *testing.T, p []byte) {
	t.Helper()
	whole := Classify(p)
	for i := range p {
		if k := Classify(p[:i]); k != More && k != whole {
			t.Fatalf("%x is %v, its first %d bytes are %v", p, whole, i, k)
		}
	}
	if len(p) >= peekSize && whole == More {
		t.Fatalf("%x: more than %d bytes wanted", p, peekSize)
	}
}

func TestClassifyDatagram(t *testing.T) {
	rtp := func(first, second byte) []byte { return append([]byte{first, second}, make([]byte, 10)...) }
	for name, c := range map[string]struct {
		p    []byte
		want Kind
	}{
		"nothing":              {nil, Unknown},
		"binding":              {binding(), STUN},
		"check":                {check(), STUN},
		"stun, trailing bytes": {append(binding(), 0, 0, 0, 0), Unknown},
		"stun, cut":            {check()[:24], Unknown},
		"rfc 3489":             {make([]byte, 20), Unknown},
		"between":              {[]byte{4, 0, 0, 0}, Unknown},
		"zrtp":                 {[]byte{0x10, 0, 0, 0}, ZRTP},
		"dtls":                 {[]byte{22, 254, 253}, DTLS},
		"dtls, last":           {[]byte{63}, DTLS},
		"channel":              {[]byte{0x40, 1, 0, 2, 9, 9}, ChannelData},
		"channel, padded":      {[]byte{0x40, 1, 0, 2, 9, 9, 0, 0}, ChannelData},
		"channel, empty":       {[]byte{0x4F, 255, 0, 0}, ChannelData},
		"channel, cut":         {[]byte{0x40, 1, 0, 3, 9, 9}, Unknown},
		"quic short":           {[]byte{0x50, 0}, QUIC},
		"quic long":            {[]byte{0xC0, 0}, QUIC},
		"rtp":                  {rtp(0x80, 111), RTP},
		"rtp with marker":      {rtp(0x90, 0x80|96), RTP},
		"rtcp sr":              {rtp(0x81, 200), RTCP},
		"rtcp, short":          {[]byte{0x80, 201, 0, 1, 0, 0, 0, 0}, RTCP},
		"rtp, cut":             {[]byte{0x80, 111, 0}, Unknown},
	} {
		if got := ClassifyDatagram(c.p); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestForTURN(t *testing.T) {
	for name, c := range map[string]struct {
		p    []byte
		want bool
	}{
		"binding without user": {binding(), true},
		"check":                {check(), false},
		"success":              {stun.MustBuild(stun.TransactionID, stun.BindingSuccess).Raw, false},
		"binding indication":   {stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodBinding, stun.ClassIndication)).Raw, false},
		"send":                 {stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication)).Raw, true},
		"data":                 {stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodData, stun.ClassIndication)).Raw, false},
		"refresh":              {stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodRefresh, stun.ClassRequest)).Raw, true},
	} {
		if got := forTURN(c.p); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzClassify(f *testing.F) {
	f.Add([]byte("GET /"))
	f.Add(binding())
	f.Add(framed(check()))
	f.Add([]byte{22, 3, 1, 2, 0, 1})
	f.Fuzz(func(t *testing.T, p []byte) {
		steady(t, p)
		if ClassifyDatagram(p) == STUN {
			forTURN(p)
			isCheck(p)
		}
	})
}
