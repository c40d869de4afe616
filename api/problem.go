package api

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/chatmed/chatmed/internal/consult"
)

const contentTypeProblem = "application/problem+json"

// problemTag starts the URIs of problems. They are names and no addresses
// (RFC 4151), the same on every server.
const problemTag = "tag:chatmed.site,2025:"

// problemBody is the documented error as RFC 9457 wants it: its five members
// before ours.
type problemBody struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail"`
	Instance string `json:"instance"`
	errorBody
}

func problemOf(e errorBody) problemBody {
	return problemBody{
		Type: problemTag + "error:" + string(e.Error), Title: title(e.Error), Status: e.Code, Detail: e.Message,
		Instance: problemTag + "request:" + e.RequestID, errorBody: e,
	}
}

// title is the code in words; one per type, as RFC 9457, section 3.1.3, asks.
func title(c consult.Code) string {
	words := strings.ReplaceAll(string(c), "_", " ")
	return strings.ToUpper(words[:1]) + words[1:]
}

// prefers reports whether the Accept header names media itself with a weight
// above zero and not below that of other, if it names other itself. Ranges
// such as */* ask for the usual answer.
func prefers(h http.Header, media, other string) bool {
	want, ok := weight(h, media)
	if !ok || want == 0 {
		return false
	}
	rival, _ := weight(h, other)
	return want >= rival
}

// weight is what the Accept header (RFC 9110, section 12.5.1) gives to exactly
// this media type. A weight nobody can read counts as zero.
func weight(h http.Header, media string) (q float64, named bool) {
	for _, line := range h.Values("Accept") {
		for part := range strings.SplitSeq(line, ",") {
			name, params, _ := strings.Cut(part, ";")
			if !strings.EqualFold(strings.TrimSpace(name), media) {
				continue
			}
			return qualityOf(params), true
		}
	}
	return 0, false
}

// qualityOf reads q=… among the parameters of a header's element; 1 without.
func qualityOf(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		name, v, ok := strings.Cut(p, "=")
		if !ok || !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		if err != nil || !(q >= 0 && q <= 1) {
			return 0
		}
		return q
	}
	return 1
}
