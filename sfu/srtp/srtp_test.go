package srtp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/pion/rtp"
	pion "github.com/pion/srtp/v3"
)

var (
	key128 = []byte("0123456789abcdef")
	key256 = []byte("0123456789abcdef0123456789abcdef")
	salt   = []byte("saltsaltsalt")
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// packet is an RTP packet with an extension, and the length of its header.
func packet(t testing.TB, ssrc uint32, seq uint16, payload []byte) (raw []byte, header int) {
	t.Helper()
	p := rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: seq, Timestamp: uint32(seq) * 90, SSRC: ssrc}, Payload: payload}
	if err := p.SetExtension(1, []byte{30}); err != nil {
		t.Fatal(err)
	}
	raw, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return append(make([]byte, 0, len(raw)+Overhead), raw...), p.MarshalSize() - len(payload)
}

func pair(t testing.TB, key []byte) (*Sealer, *Opener) {
	t.Helper()
	s, err := NewSealer(key, salt)
	if err != nil {
		t.Fatal(err)
	}
	o, err := NewOpener(key, salt)
	if err != nil {
		t.Fatal(err)
	}
	return s, o
}

// The example of RFC 7714 section 16.1.1, which gives session keys.
func TestRFC7714(t *testing.T) {
	s, _ := pair(t, unhex(t, "000102030405060708090a0b0c0d0e0f"))
	var err error
	if s.aead, err = newGCM(unhex(t, "000102030405060708090a0b0c0d0e0f")); err != nil {
		t.Fatal(err)
	}
	copy(s.salt[:], "Quid pro quo")
	header := unhex(t, "8040f17b8041f8d35501a0b2")
	plain := append(header, "Gallia est omnis divisa in partes tres"...)
	sealed, err := s.Seal(&Outgoing{}, append(make([]byte, 0, 100), plain...), len(header))
	if err != nil {
		t.Fatal(err)
	}
	want := unhex(t, "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833"+
		"899d7f27beb16a9152cf765ee4390cce")
	if !bytes.Equal(sealed, want) {
		t.Fatalf("got  %x\nwant %x", sealed, want)
	}
}

// Pion's implementation and this one read each other, over wraps of the
// sequence number, with losses and reordering.
func TestAgreesWithPion(t *testing.T) {
	for name, c := range map[string]struct {
		key     []byte
		profile pion.ProtectionProfile
	}{
		"128": {key128, pion.ProtectionProfileAeadAes128Gcm},
		"256": {key256, pion.ProtectionProfileAeadAes256Gcm},
	} {
		t.Run(name, func(t *testing.T) {
			theirs, err := pion.CreateContext(c.key, salt, c.profile)
			if err != nil {
				t.Fatal(err)
			}
			reader, err := pion.CreateContext(c.key, salt, c.profile, pion.SRTPReplayProtection(512))
			if err != nil {
				t.Fatal(err)
			}
			s, o := pair(t, c.key)
			var out Outgoing
			var in Incoming
			rnd := rand.New(rand.NewPCG(1, 2))
			seqs := make([]uint64, 0, 200_000)
			for i := uint64(60_000); i < 260_000; i += 1 + rnd.Uint64N(3) {
				seqs = append(seqs, i)
			}
			for i := 0; i+9 < len(seqs); i += 10 { // the first stays first: nothing before it has an index yet
				rnd.Shuffle(9, func(a, b int) { seqs[i+1+a], seqs[i+1+b] = seqs[i+1+b], seqs[i+1+a] })
			}
			payload := bytes.Repeat([]byte("x"), 40)
			for _, i := range seqs {
				raw, header := packet(t, 7, uint16(i), payload)
				plain := bytes.Clone(raw)
				sealed, err := s.Seal(&out, raw, header)
				if err != nil {
					t.Fatalf("seal %d: %v", i, err)
				}
				got, err := reader.DecryptRTP(nil, sealed, nil)
				if err != nil || !bytes.Equal(got, plain) {
					t.Fatalf("Pion reads %d as %x, %v", i, got, err)
				}
				enc, err := theirs.EncryptRTP(nil, plain, nil)
				if err != nil {
					t.Fatal(err)
				}
				if got, err = o.Open(&in, enc, header); err != nil || !bytes.Equal(got, plain) {
					t.Fatalf("open %d: %x, %v", i, got, err)
				}
			}
		})
	}
}

// No index is sealed twice, whatever order and repetition the caller tries: a
// nonce used twice would give the key stream away.
func TestNoNonceTwice(t *testing.T) {
	s, _ := pair(t, key128)
	var out Outgoing
	rnd := rand.New(rand.NewPCG(3, 4))
	used := map[[nonceSize]byte]bool{}
	accepted := 0
	for i := range 400_000 {
		// A walk that comes back on itself and wraps several times.
		center := uint16(i / 2)
		seq := center + uint16(rnd.IntN(2400)) - 1200
		raw, header := packet(t, 9, seq, []byte("payload"))
		if _, err := s.Seal(&out, raw, header); err != nil {
			if !errors.Is(err, ErrReplayed) && !errors.Is(err, ErrTooOld) {
				t.Fatal(err)
			}
			continue
		}
		accepted++
		if used[s.nonce] {
			t.Fatalf("nonce %x used twice", s.nonce)
		}
		used[s.nonce] = true
	}
	if accepted < 100_000 {
		t.Fatalf("only %d packets sealed: the walk tests nothing", accepted)
	}
}

func TestReplay(t *testing.T) {
	s, o := pair(t, key128)
	var out Outgoing
	var in Incoming
	sealed := map[uint16][]byte{}
	for seq := uint16(1); seq <= 3000; seq++ {
		raw, header := packet(t, 5, seq, []byte("payload"))
		enc, err := s.Seal(&out, raw, header)
		if err != nil {
			t.Fatal(err)
		}
		sealed[seq] = bytes.Clone(enc)
	}
	const header = 20
	for _, step := range []struct {
		seq  uint16
		want error
	}{
		{100, nil}, {100, ErrReplayed}, {99, nil}, {99, ErrReplayed}, {2000, nil}, {100, ErrTooOld},
		{2000 - Window, ErrTooOld}, {2000 - Window + 1, nil}, {2000 - Window + 1, ErrReplayed}, {1999, nil},
		{3000, nil}, {2001, ErrTooOld}, {2999, nil}, {2999, ErrReplayed},
	} {
		if _, err := o.Open(&in, bytes.Clone(sealed[step.seq]), header); !errors.Is(err, step.want) {
			t.Fatalf("packet %d: %v, want %v", step.seq, err, step.want)
		}
	}
}

// A forged packet is refused and moves nothing.
func TestForged(t *testing.T) {
	s, o := pair(t, key128)
	var in Incoming
	raw, header := packet(t, 5, 10, []byte("payload"))
	enc, err := s.Seal(&Outgoing{}, raw, header)
	if err != nil {
		t.Fatal(err)
	}
	for i := range enc {
		bad := bytes.Clone(enc)
		bad[i] ^= 1
		if _, err := o.Open(&in, bad, header); err == nil {
			t.Fatalf("a packet with byte %d changed was accepted", i)
		}
	}
	if in.started {
		t.Fatal("a forged packet has moved the state")
	}
	if _, err := o.Open(&in, enc, header); err != nil {
		t.Fatal(err)
	}
}

func TestMalformed(t *testing.T) {
	s, o := pair(t, key128)
	raw, header := packet(t, 5, 10, nil)
	for name, got := range map[string]error{
		"no room for the tag": second(s.Seal(&Outgoing{}, raw[:len(raw):len(raw)], header)),
		"short header":        second(s.Seal(&Outgoing{}, raw, 11)),
		"header beyond":       second(s.Seal(&Outgoing{}, raw, len(raw)+1)),
		"no tag":              second(o.Open(&Incoming{}, raw, header)),
		"empty":               second(o.Open(&Incoming{}, nil, 12)),
	} {
		if !errors.Is(got, ErrMalformed) {
			t.Errorf("%s: %v", name, got)
		}
	}
	for _, key := range [][]byte{nil, key128[:15]} {
		if _, err := NewSealer(key, salt); err == nil {
			t.Errorf("a key of %d bytes was accepted", len(key))
		}
	}
	if _, err := NewOpener(key128, salt[:11]); err == nil {
		t.Error("a short salt was accepted")
	}
}

func second(_ []byte, err error) error { return err }

// Whatever comes from the network is refused or opened, never a panic, and only
// what the key's owner sealed is opened.
func FuzzOpen(f *testing.F) {
	s, err := NewSealer(key128, salt)
	if err != nil {
		f.Fatal(err)
	}
	raw, header := packet(f, 5, 10, []byte("payload"))
	enc, err := s.Seal(&Outgoing{}, raw, header)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(enc, header)
	f.Add([]byte{0x80}, 12)
	f.Fuzz(func(t *testing.T, p []byte, n int) {
		o, err := NewOpener(key128, salt)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.Open(&Incoming{}, bytes.Clone(p), n); err == nil && (!bytes.Equal(p, enc) || n != header) {
			t.Fatalf("opened a forgery: %x", p)
		}
	})
}

func TestAllocNothing(t *testing.T) {
	s, o := pair(t, key128)
	var out Outgoing
	var in Incoming
	raw, header := packet(t, 5, 0, make([]byte, 1100))
	seq := uint16(0)
	if n := testing.AllocsPerRun(1000, func() {
		binary.BigEndian.PutUint16(raw[2:], seq)
		seq++
		enc, err := s.Seal(&out, raw, header)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.Open(&in, enc, header); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Fatalf("%v allocations a packet", n)
	}
}

func BenchmarkSeal(b *testing.B) {
	raw, header := packet(b, 5, 0, make([]byte, 1100))
	b.Run("own", func(b *testing.B) {
		s, _ := pair(b, key128)
		var out Outgoing
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			binary.BigEndian.PutUint16(raw[2:], uint16(i))
			if _, err := s.Seal(&out, raw, header); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("pion", func(b *testing.B) {
		c, err := pion.CreateContext(key128, salt, pion.ProtectionProfileAeadAes128Gcm)
		if err != nil {
			b.Fatal(err)
		}
		var h rtp.Header
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			binary.BigEndian.PutUint16(raw[2:], uint16(i))
			if _, err := c.EncryptRTP(raw[:0], raw, &h); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	const packets = 60_000
	s, _ := pair(b, key128)
	var out Outgoing
	sealed := make([][]byte, packets)
	var header int
	for i := range sealed {
		var raw []byte
		raw, header = packet(b, 5, uint16(i), make([]byte, 1100))
		enc, err := s.Seal(&out, raw, header)
		if err != nil {
			b.Fatal(err)
		}
		sealed[i] = enc
	}
	buf := make([]byte, 1500)
	b.Run("own", func(b *testing.B) {
		_, o := pair(b, key128)
		var in Incoming
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if i%packets == 0 {
				in = Incoming{}
			}
			n := copy(buf, sealed[i%packets])
			if _, err := o.Open(&in, buf[:n], header); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("pion", func(b *testing.B) {
		var c *pion.Context
		var h rtp.Header
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if i%packets == 0 {
				var err error
				if c, err = pion.CreateContext(key128, salt, pion.ProtectionProfileAeadAes128Gcm, pion.SRTPReplayProtection(512)); err != nil {
					b.Fatal(err)
				}
			}
			n := copy(buf, sealed[i%packets])
			if _, err := c.DecryptRTP(buf[:0], buf[:n], &h); err != nil {
				b.Fatal(err)
			}
		}
	})
}
