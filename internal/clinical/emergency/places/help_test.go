package places

import (
	"bytes"
	"compress/flate"
)

// pack makes a file of borders of a body.
func pack(body []byte) []byte {
	var out bytes.Buffer
	out.WriteString(bordersMagic)
	w, _ := flate.NewWriter(&out, flate.BestCompression)
	_, _ = w.Write(body)
	_ = w.Close()
	return out.Bytes()
}
