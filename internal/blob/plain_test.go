package blob

import (
	"bytes"
	"errors"
	"io"
	mathrand "math/rand/v2"
	"testing"

	"filippo.io/age"
)

// chunk and tag are age's: how much is sealed at a time, and what that adds.
const (
	chunk = 64 << 10
	tag   = 16
)

func identity(t *testing.T) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	must(t, err)
	return id
}

func encrypt(t *testing.T, data []byte, to age.Recipient) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := age.Encrypt(&buf, to)
	must(t, err)
	_, err = w.Write(data)
	must(t, err)
	must(t, w.Close())
	return buf.Bytes()
}

func plain(t *testing.T, s Store, key string, ids ...age.Identity) (io.ReadSeekCloser, int64, error) {
	t.Helper()
	r, size, err := s.Open(t.Context(), key)
	must(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return Plain(r, size, ids...)
}

func TestRangesOfWhatIsEncrypted(t *testing.T) {
	id := identity(t)
	onStores(t, func(t *testing.T, s Store) {
		for _, n := range []int{0, 1, chunk - 1, chunk, chunk + 1, 5 * chunk, 5*chunk + 333} {
			data := random(n)
			put(t, s, "p/x", encrypt(t, data, id.Recipient()))
			r, size, err := plain(t, s, "p/x", identity(t), id)
			must(t, err)
			if size != int64(n) {
				t.Fatalf("size %d, want %d", size, n)
			}
			for _, off := range []int{0, 1, chunk - 1, chunk, chunk + 1, 2*chunk - 1, 2 * chunk, n - chunk, n - 1, n} {
				for _, length := range []int{1, 2, chunk, chunk + 1, n} {
					if off < 0 || off > n {
						continue
					}
					_, err := r.Seek(int64(off), io.SeekStart)
					must(t, err)
					got, err := io.ReadAll(io.LimitReader(r, int64(length)))
					must(t, err)
					if want := data[off:min(off+length, n)]; !bytes.Equal(got, want) {
						t.Fatalf("%d bytes at %d of %d: %d", length, off, n, len(got))
					}
				}
			}
			must(t, r.Close())
		}
	})
}

// counting counts what is read of an object.
type counting struct {
	io.ReadSeekCloser
	n int64
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReadSeekCloser.(io.ReaderAt).ReadAt(p, off)
	c.n += int64(n)
	return n, err
}

// A range in the middle opens the chunks it touches, not those before it.
func TestARangeDoesNotReadFromTheStart(t *testing.T) {
	id := identity(t)
	data := random(200 * chunk)
	s := disk(t, t.TempDir())
	put(t, s, "p/x", encrypt(t, data, id.Recipient()))
	o, size, err := s.Open(t.Context(), "p/x")
	must(t, err)
	c := &counting{ReadSeekCloser: o}
	r, _, err := Plain(c, size, id)
	must(t, err)
	opened := c.n
	_, err = r.Seek(150*chunk+10, io.SeekStart)
	must(t, err)
	got := make([]byte, chunk)
	_, err = io.ReadFull(r, got)
	must(t, err)
	if !bytes.Equal(got, data[150*chunk+10:][:chunk]) || opened > 2*chunk || c.n-opened > 2*(chunk+tag) {
		t.Errorf("read %d bytes to open and %d for a range of %d", opened, c.n-opened, chunk)
	}
	must(t, r.Close())
}

// Whatever is done to the stored bytes, a read gives the right ones or fails.
func TestNoForgedByteIsGivenOut(t *testing.T) {
	id := identity(t)
	const n = 4*chunk + 100
	data := random(n)
	sealed := encrypt(t, data, id.Recipient())
	head := len(sealed) - n - 5*tag // header and nonce
	at := func(i int) int { return head + i*(chunk+tag) }
	cases := map[string][]byte{
		"another's header":  append(bytes.Clone(encrypt(t, data, id.Recipient())[:head]), sealed[head:]...),
		"last chunk cut":    sealed[:at(4)],
		"in a chunk":        sealed[:at(2)+1000],
		"at a chunk":        sealed[:at(3)],
		"header alone":      sealed[:head],
		"one byte":          sealed[:1],
		"empty":             {},
		"bytes after":       append(bytes.Clone(sealed), 0),
		"a chunk twice":     append(bytes.Clone(sealed[:at(1)]), sealed[at(0):]...),
		"a chunk missing":   append(bytes.Clone(sealed[:at(1)]), sealed[at(2):]...),
		"chunks exchanged":  exchange(sealed, at(1), at(2), chunk+tag),
		"zeros in a chunk":  zeroed(sealed, at(2)+500, 1000),
		"last chunk is all": append(bytes.Clone(sealed[:head]), sealed[at(4):]...),
	}
	rnd := mathrand.New(mathrand.NewPCG(3, 4))
	for range 40 {
		cases[string(rune('a'+rnd.IntN(26)))+" bit"] = flipped(sealed, rnd.IntN(len(sealed)), byte(1<<rnd.IntN(8)))
	}
	s := disk(t, t.TempDir())
	for name, stored := range cases {
		put(t, s, "p/x", stored)
		r, _, err := plain(t, s, "p/x", id)
		if err != nil {
			continue
		}
		failed := false
		for off := int64(0); off < n; off += chunk / 2 {
			_, err := r.Seek(off, io.SeekStart)
			must(t, err)
			buf := make([]byte, chunk)
			k, err := io.ReadFull(r, buf)
			if !bytes.Equal(buf[:k], data[off:min(off+int64(k), n)]) {
				t.Fatalf("%s: forged bytes at %d", name, off)
			}
			failed = failed || err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF)
		}
		if !failed {
			t.Errorf("%s: nothing failed", name)
		}
	}
}

func flipped(b []byte, i int, bit byte) []byte {
	b = bytes.Clone(b)
	b[i] ^= bit
	return b
}

func zeroed(b []byte, i, n int) []byte {
	b = bytes.Clone(b)
	clear(b[i : i+n])
	return b
}

func exchange(b []byte, i, j, n int) []byte {
	out := bytes.Clone(b)
	copy(out[i:i+n], b[j:j+n])
	copy(out[j:j+n], b[i:i+n])
	return out
}

func TestAnotherKeyOpensNothing(t *testing.T) {
	s := disk(t, t.TempDir())
	put(t, s, "p/x", encrypt(t, random(1000), identity(t).Recipient()))
	_, _, err := plain(t, s, "p/x", identity(t))
	if no := (*age.NoIdentityMatchError)(nil); !errors.As(err, &no) {
		t.Errorf("%v", err)
	}
}
