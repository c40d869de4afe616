package compose

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/chatmed/chatmed/recording/journal"
)

// Elements of Matroska (RFC 9559) that are written or read here.
const (
	idEBML        = 0x1a45dfa3
	idSegment     = 0x18538067
	idSeekHead    = 0x114d9b74
	idInfo        = 0x1549a966
	idTracks      = 0x1654ae6b
	idCluster     = 0x1f43b675
	idCues        = 0x1c53bb6b
	idTimestamp   = 0xe7
	idSimpleBlock = 0xa3
	idBlockGroup  = 0xa0
	idBlock       = 0xa1
)

// mkvTrack is what a file says of its one track.
type mkvTrack struct {
	codec   string
	size    dims
	private []byte
	turn    int // clockwise quarter turns needed
}

// mkv writes a Matroska file of one track, in milliseconds: to a file, which in
// the end has its duration and an index, or to a pipe, which has neither.
type mkv struct {
	w    *bufio.Writer
	f    *os.File // nil: a pipe
	at   int64    // bytes written
	base int64    // where the Segment's content begins

	video    bool
	cluster  []byte // blocks of the cluster to come
	start    int64  // its timestamp, ms
	last     int64  // the newest block's
	cues     []cue
	duration int64 // where the duration stands
	seek     int64 // where the SeekHead stands
	info     int64
	tracks   int64
}

type cue struct{ time, pos int64 }

const (
	clusterLasts = 5000 // ms; a block's own timestamp has 16 bits
	clusterBytes = 4 << 20
	seekBytes    = 96 // room that the SeekHead has
)

func createMKV(path string, t mkvTrack) (*mkv, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("compose: %w", err)
	}
	m := &mkv{w: bufio.NewWriterSize(f, 1<<18), f: f}
	if err := m.header(t); err != nil {
		return nil, m.abort(err)
	}
	return m, nil
}

func streamMKV(w io.Writer, t mkvTrack) (*mkv, error) {
	m := &mkv{w: bufio.NewWriterSize(w, 1<<16)}
	return m, m.header(t)
}

// element appends an element of known size.
func element(b []byte, id uint32, content ...[]byte) []byte {
	n := 0
	for _, c := range content {
		n += len(c)
	}
	b = appendID(b, id)
	// A size of five bytes: the marker, and 32 bits.
	b = binary.BigEndian.AppendUint32(append(b, 0x08), uint32(n))
	for _, c := range content {
		b = append(b, c...)
	}
	return b
}

func appendID(b []byte, id uint32) []byte {
	for shift := 24; shift >= 0; shift -= 8 {
		if id>>shift != 0 {
			b = append(b, byte(id>>shift))
		}
	}
	return b
}

func uintElement(b []byte, id uint32, v uint64) []byte {
	return element(b, id, binary.BigEndian.AppendUint64(nil, v))
}

func floatElement(b []byte, id uint32, v float64) []byte {
	return element(b, id, binary.BigEndian.AppendUint64(nil, math.Float64bits(v)))
}

func (m *mkv) put(b []byte) error {
	n, err := m.w.Write(b)
	m.at += int64(n)
	if err != nil {
		return fmt.Errorf("compose: %w", err)
	}
	return nil
}

var codecIDs = map[string]string{
	journal.Opus: "A_OPUS", journal.VP8: "V_VP8", journal.VP9: "V_VP9", journal.AV1: "V_AV1", journal.H264: "V_MPEG4/ISO/AVC",
}

// webm reports whether a codec may stand in WebM, the subset of Matroska.
func webm(codec string) bool { return codec != journal.H264 }

func (m *mkv) header(t mkvTrack) error {
	doc := "webm"
	if !webm(t.codec) {
		doc = "matroska"
	}
	var e []byte
	for _, v := range [][2]uint64{{0x4286, 1}, {0x42f7, 1}, {0x42f2, 4}, {0x42f3, 8}, {0x4287, 4}, {0x4285, 2}} {
		e = uintElement(e, uint32(v[0]), v[1])
	}
	e = element(e, 0x4282, []byte(doc))
	head := element(nil, idEBML, e)
	head = append(appendID(head, idSegment), 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff) // size unknown until the end
	m.base = int64(len(head))
	m.seek = m.base
	if m.f != nil {
		head = element(head, 0xec, make([]byte, seekBytes-6)) // Void
	}
	m.info = int64(len(head))
	info := uintElement(nil, 0x2ad7b1, 1_000_000)
	info = element(info, 0x4d80, []byte("ChatMed"))
	info = element(info, 0x5741, []byte("ChatMed"))
	if m.f != nil {
		m.duration = int64(len(head)) + 4 + 5 + int64(len(info)) + 2 + 5
		info = floatElement(info, 0x4489, 0)
	}
	head = element(head, idInfo, info)
	m.tracks = int64(len(head))
	head = element(head, idTracks, element(nil, 0xae, m.entry(t)))
	return m.put(head)
}

// entry is the TrackEntry.
func (m *mkv) entry(t mkvTrack) []byte {
	b := uintElement(nil, 0xd7, 1)
	b = uintElement(b, 0x73c5, 1)
	b = uintElement(b, 0x9c, 0) // no lacing
	b = element(b, 0x86, []byte(codecIDs[t.codec]))
	if t.codec == journal.Opus {
		b = uintElement(b, 0x83, 2)
		// RFC 7845 section 5.1: two channels, 48 kHz, no gain. The pre-skip, and
		// CodecDelay with it, is what the encoder looked ahead (RFC 6716: 6.5 ms at
		// 48 kHz): sound comes out of the decoder that much later than its picture.
		b = element(b, 0x63a2, []byte("OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00"))
		b = uintElement(b, 0x56aa, 6_500_000)
		b = uintElement(b, 0x56bb, 80_000_000) // SeekPreRoll
		return element(b, 0xe1, floatElement(uintElement(nil, 0x9f, 2), 0xb5, 48000))
	}
	m.video = true
	b = uintElement(b, 0x83, 1)
	if len(t.private) > 0 {
		b = element(b, 0x63a2, t.private)
	}
	v := uintElement(uintElement(nil, 0xb0, uint64(t.size.w)), 0xba, uint64(t.size.h))
	if t.turn != 0 {
		// ProjectionPoseRoll is counter-clockwise, from -180 to 180.
		roll := []float64{0, -90, 180, 90}[t.turn&3]
		v = element(v, 0x7670, floatElement(uintElement(nil, 0x7671, 0), 0x7675, roll))
	}
	return element(b, 0xe0, v)
}

// write appends a block. pts must not fall.
func (m *mkv) write(pts time.Duration, key bool, data []byte) error {
	ms := max(m.last, (pts + time.Millisecond/2).Milliseconds())
	if len(m.cluster) > 0 && (ms-m.start >= clusterLasts || len(m.cluster) > clusterBytes || (m.video && key)) {
		if err := m.flush(); err != nil {
			return err
		}
	}
	if len(m.cluster) == 0 {
		m.start = ms
		m.cluster = uintElement(m.cluster, idTimestamp, uint64(ms))
		if key {
			m.cues = append(m.cues, cue{ms, m.at - m.base})
		}
	}
	m.last = ms
	head := binary.BigEndian.AppendUint16([]byte{0x81}, uint16(ms-m.start))
	flags := byte(0)
	if key {
		flags = 0x80
	}
	m.cluster = element(m.cluster, idSimpleBlock, append(head, flags), data)
	if m.f == nil {
		return m.flush() // a reader waits for it
	}
	return nil
}

func (m *mkv) flush() error {
	if len(m.cluster) == 0 {
		return nil
	}
	err := m.put(element(nil, idCluster, m.cluster))
	m.cluster = m.cluster[:0]
	return err
}

// close writes what is left, and in a file the index, duration and sizes.
func (m *mkv) close(duration time.Duration) error {
	if err := m.flush(); err != nil {
		return m.abort(err)
	}
	if m.f == nil {
		if err := m.w.Flush(); err != nil {
			return fmt.Errorf("compose: %w", err)
		}
		return nil
	}
	cues, points := m.at, []byte(nil)
	for _, c := range m.cues {
		pos := uintElement(uintElement(nil, 0xf7, 1), 0xf1, uint64(c.pos))
		points = element(points, 0xbb, uintElement(nil, 0xb3, uint64(c.time)), element(nil, 0xb7, pos))
	}
	if err := m.put(element(nil, idCues, points)); err != nil {
		return m.abort(err)
	}
	if err := m.w.Flush(); err != nil {
		return m.abort(fmt.Errorf("compose: %w", err))
	}
	var seeks []byte
	for _, s := range []struct {
		id  uint32
		pos int64
	}{{idInfo, m.info}, {idTracks, m.tracks}, {idCues, cues}} {
		one := element(nil, 0x53ab, appendID(nil, s.id))
		one = element(one, 0x53ac, binary.BigEndian.AppendUint32(nil, uint32(s.pos-m.base)))
		seeks = element(seeks, 0x4dbb, one)
	}
	head := element(nil, idSeekHead, seeks)
	if rest := seekBytes - len(head); rest >= 6 {
		head = element(head, 0xec, make([]byte, rest-6))
	} else if rest != 0 {
		return m.abort(errors.New("compose: no room for the SeekHead"))
	}
	size := binary.BigEndian.AppendUint64(nil, uint64(m.at-m.base)|1<<56)
	length := binary.BigEndian.AppendUint64(nil, math.Float64bits(float64(duration.Microseconds())/1000))
	for _, p := range []struct {
		at int64
		b  []byte
	}{{m.base - 8, size}, {m.seek, head}, {m.duration, length}} {
		if _, err := m.f.WriteAt(p.b, p.at); err != nil {
			return m.abort(fmt.Errorf("compose: %w", err))
		}
	}
	if err := m.f.Close(); err != nil {
		return fmt.Errorf("compose: %w", err)
	}
	return nil
}

// abort gives the file up, which goes with its directory.
func (m *mkv) abort(err error) error {
	if m.f != nil {
		_ = m.f.Close()
	}
	return err
}

// maxBlock is above a frame of the largest picture that is asked for.
const maxBlock = 64 << 20

// mkvReader reads the blocks of a Matroska stream as ffmpeg writes it to a pipe.
type mkvReader struct {
	r       *bufio.Reader
	cluster int64
}

// vint reads an EBML number: an ID keeps its length marker, a size does not. All
// ones are an unknown size, -1.
func (m *mkvReader) vint(id bool) (int64, error) {
	first, err := m.r.ReadByte()
	if err != nil {
		return 0, err
	}
	n := 1
	for bit := byte(0x80); n <= 8 && first&bit == 0; bit >>= 1 {
		n++
	}
	if n > 8 {
		return 0, errors.New("malformed number")
	}
	v := int64(first)
	if !id {
		v &= 1<<(8-n) - 1
	}
	ones := !id && v == 1<<(8-n)-1
	for range n - 1 {
		c, err := m.r.ReadByte()
		if err != nil {
			return 0, err
		}
		ones = ones && c == 0xff
		v = v<<8 | int64(c)
	}
	if ones {
		return -1, nil
	}
	return v, nil
}

// next reads the next block into buf, which grows. io.EOF at the end.
func (m *mkvReader) next(buf []byte) (pts time.Duration, data []byte, err error) {
	for {
		id, err := m.vint(true)
		if err != nil {
			return 0, buf, err
		}
		size, err := m.vint(false)
		if err != nil {
			return 0, buf, err
		}
		switch id {
		case idSegment, idCluster, idBlockGroup:
			continue
		case idTimestamp, idSimpleBlock, idBlock:
			if size < 0 || size > maxBlock {
				return 0, buf, fmt.Errorf("element of %d bytes", size)
			}
			if int64(cap(buf)) < size {
				buf = make([]byte, size)
			}
			buf = buf[:size]
			if _, err := io.ReadFull(m.r, buf); err != nil {
				return 0, buf, err
			}
			if id == idTimestamp {
				m.cluster = 0
				for _, c := range buf {
					m.cluster = m.cluster<<8 | int64(c)
				}
				continue
			}
			if size < 4 {
				return 0, buf, errors.New("short block")
			}
			ms := m.cluster + int64(int16(binary.BigEndian.Uint16(buf[1:])))
			return time.Duration(ms) * time.Millisecond, buf, nil
		default:
			if size < 0 {
				return 0, buf, errors.New("element without size")
			}
			if _, err := io.CopyN(io.Discard, m.r, size); err != nil {
				return 0, buf, err
			}
		}
	}
}

// blockHead is what stands before a block's data: track, timestamp, flags.
const blockHead = 4
