package learned

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

const magic = "cmlr0005"

//go:embed weights.bin
var embedded []byte

// Load reads the built-in weights.
func Load() (*Model, error) { return Decode(embedded) }

// Parameters are what the trainer found.
type Parameters struct {
	Source  uint64
	Weights [heads][]float64 // by head, 1<<Bits each
	Bias    [heads]float64   // by head
	Limits  Limits
	Curves  [heads]Curve
	Groups  [len(Groups)][]float64 // 1<<GroupBits each
}

// Encode makes the file that Decode reads: gzip around the magic, the source,
// numbers as 32-bit floats and weights as bytes, little endian.
func Encode(p *Parameters) ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	raw := append([]byte(magic), binary.LittleEndian.AppendUint64(nil, p.Source)...)
	number := func(v float64) {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(v)))
	}
	for _, v := range []float64{p.Limits.Raise, p.Limits.Keep, p.Limits.Critical} {
		number(v)
	}
	for h := range heads {
		scale := scaleOf(p.Weights[h])
		number(scale)
		number(p.Bias[h])
		for _, v := range p.Curves[h] {
			number(v)
		}
		raw = appendWeights(raw, p.Weights[h], scale)
	}
	// Groups are compared with each other, so they share a scale.
	var all []float64
	for _, w := range p.Groups {
		all = append(all, w...)
	}
	scale := scaleOf(all)
	for _, w := range p.Groups {
		raw = appendWeights(raw, w, scale)
	}
	if _, err := z.Write(raw); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func scaleOf(weights []float64) float64 {
	top := 0.0
	for _, w := range weights {
		top = max(top, math.Abs(w))
	}
	if top == 0 {
		return 1
	}
	return top / 127
}

func appendWeights(raw []byte, weights []float64, scale float64) []byte {
	for _, w := range weights {
		raw = append(raw, byte(int8(math.Round(w/scale))))
	}
	return raw
}

// Decode reads a file of weights.
func Decode(file []byte) (*Model, error) {
	z, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("learned: %w", err)
	}
	const size = len(magic) + 8 + 3*4 + int(heads)*((2+len(Curve{}))*4+buckets) + len(Groups)<<GroupBits
	raw, err := io.ReadAll(io.LimitReader(z, int64(size)+1))
	if err != nil {
		return nil, fmt.Errorf("learned: %w", err)
	}
	if len(raw) != size || string(raw[:len(magic)]) != magic {
		return nil, errors.New("learned: not a file of weights of this version")
	}
	raw = raw[len(magic):]
	m := &Model{source: binary.LittleEndian.Uint64(raw)}
	raw = raw[8:]
	valid := true
	number := func() float32 {
		v := math.Float32frombits(binary.LittleEndian.Uint32(raw))
		raw = raw[4:]
		valid = valid && !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0)
		return v
	}
	weights := func(n int) []int8 {
		w := make([]int8, n)
		for i := range w {
			w[i] = int8(raw[i])
		}
		raw = raw[n:]
		return w
	}
	m.limits = Limits{Raise: float64(number()), Keep: float64(number()), Critical: float64(number())}
	for h := range heads {
		m.scale[h], m.bias[h] = number(), number()
		for k := range m.curves[h] {
			m.curves[h][k] = float64(number())
		}
		m.weights[h] = weights(buckets)
	}
	for g := range m.groups {
		m.groups[g] = weights(1 << GroupBits)
	}
	if !valid {
		return nil, errors.New("learned: a number in the file of weights is not finite")
	}
	return m, nil
}
