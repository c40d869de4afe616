// Package web serves the browser pages: the room, the doctor's waiting room and
// the start page. Their sources are beside this file; `npm run build` puts the
// result into dist, which is embedded here.
package web

import (
	"embed"
	"io/fs"
	"net/http"
)

// dist is empty but for .keep in a fresh clone; the handler then explains how
// to build.
//
//go:embed all:dist
var dist embed.FS

// Config is what the pages need to know of the server.
type Config struct {
	// FrameAncestors returns the origins that may embed the room of a request,
	// such as https://clinic.example. Nil, or an empty answer, allows nobody.
	FrameAncestors func(r *http.Request) []string
}

// Handler serves /, /room/{session_id}, /doctor and /assets/*. Everything else
// is 404. GET and HEAD only.
func Handler(cfg Config) http.Handler {
	// Sub of a constant directory that go:embed has checked cannot fail.
	built, _ := fs.Sub(dist, "dist")
	return newHandler(cfg, built)
}
