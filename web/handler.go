package web

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// file is one built file in the encodings the build made of it.
type file struct {
	contentType string
	plain       variant
	encoded     []variant // preferred first
}

// variant is one representation (RFC 9110, section 3.2); each has its own ETag.
type variant struct {
	encoding string // "" for none
	body     []byte
	etag     string
}

// handler serves the built pages from memory.
type handler struct {
	cfg    Config
	pages  map[string]*file // "room.html", …
	assets map[string]*file // "/assets/…", names carry a content hash
}

func newHandler(cfg Config, built fs.FS) http.Handler {
	h := &handler{cfg: cfg, pages: map[string]*file{}, assets: map[string]*file{}}
	for _, name := range names(built) {
		f := load(built, name)
		if strings.HasPrefix(name, "assets/") {
			h.assets["/"+name] = f
		} else {
			h.pages[name] = f
		}
	}
	return h
}

// names lists the files of a build without their compressed twins.
func names(built fs.FS) []string {
	var out []string
	// The walk is over memory; an error could only mean an empty build.
	_ = fs.WalkDir(built, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Base(name) == ".keep" {
			return err
		}
		if ext := path.Ext(name); ext != ".br" && ext != ".gz" {
			out = append(out, name)
		}
		return nil
	})
	return out
}

func load(built fs.FS, name string) *file {
	f := &file{contentType: contentType(name)}
	f.plain, _ = loadVariant(built, name, "")
	for _, e := range []struct{ encoding, suffix string }{{"br", ".br"}, {"gzip", ".gz"}} {
		if v, ok := loadVariant(built, name+e.suffix, e.encoding); ok {
			f.encoded = append(f.encoded, v)
		}
	}
	return f
}

func loadVariant(built fs.FS, name, encoding string) (variant, bool) {
	body, err := fs.ReadFile(built, name)
	if err != nil {
		return variant{}, false
	}
	sum := sha256.Sum256(body)
	return variant{encoding: encoding, body: body, etag: `"` + hex.EncodeToString(sum[:12]) + `"`}, true
}

// contentType does not depend on the machine's own table for what we build.
func contentType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		if t := mime.TypeByExtension(ext); t != "" {
			return t
		}
		return "application/octet-stream"
	}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	inert(w.Header()) // what follows may say more
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "Method not allowed.", http.StatusMethodNotAllowed)
		return
	}
	if f, ok := h.assets[r.URL.Path]; ok {
		// An SVG opened by itself is a document: it may do nothing, as said above.
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		f.serve(w, r)
		return
	}
	name, ok := pageOf(r.URL.Path)
	if !ok {
		http.NotFound(w, r)
		return
	}
	page, ok := h.pages[name]
	if !ok {
		notBuilt(w)
		return
	}
	var ancestors []string
	if pageAccess[name].framed && h.cfg.FrameAncestors != nil {
		ancestors = h.cfg.FrameAncestors(r)
	}
	w.Header().Del("X-Frame-Options")
	protect(w.Header(), r, pageAccess[name], ancestors)
	// Always asked for again, so that a new build is seen at once.
	w.Header().Set("Cache-Control", "no-cache")
	page.serve(w, r)
}

const (
	startPage = "index.html"
	roomPage  = "room.html"
	deskPage  = "doctor.html"
)

// pageOf maps a path to its page. A room's path has exactly one more segment.
func pageOf(p string) (string, bool) {
	switch p {
	case "/":
		return startPage, true
	case "/doctor", "/doctor/":
		return deskPage, true
	}
	id, ok := strings.CutPrefix(p, "/room/")
	id = strings.TrimSuffix(id, "/")
	return roomPage, ok && id != "" && !strings.Contains(id, "/")
}

// serve answers with the best encoding the client takes, or 304.
func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	v := f.choose(r.Header.Get("Accept-Encoding"))
	head := w.Header()
	head.Set("Content-Type", f.contentType)
	head.Set("Vary", "Accept-Encoding")
	head.Set("ETag", v.etag)
	if matches(r.Header.Get("If-None-Match"), v.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if v.encoding != "" {
		head.Set("Content-Encoding", v.encoding)
	}
	head.Set("Content-Length", strconv.Itoa(len(v.body)))
	if r.Method == http.MethodHead {
		return
	}
	// A client that went away is no error of ours.
	_, _ = w.Write(v.body)
}

func (f *file) choose(accept string) variant {
	for _, v := range f.encoded {
		if accepts(accept, v.encoding) {
			return v
		}
	}
	return f.plain
}

// accepts reads Accept-Encoding (RFC 9110, section 12.5.3). A weight of zero is
// a refusal; other weights are ignored, ours is the order of preference.
func accepts(header, encoding string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(part, ";")
		if !strings.EqualFold(strings.TrimSpace(name), encoding) {
			continue
		}
		weight, found := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(params), " ", ""), "q=")
		if !found {
			return true
		}
		q, err := strconv.ParseFloat(weight, 64)
		return err == nil && q > 0
	}
	return false
}

// matches compares weakly, as RFC 9110, section 13.1.2 wants it for GET.
func matches(header, etag string) bool {
	for part := range strings.SplitSeq(header, ",") {
		part = strings.TrimSpace(part)
		if part == "*" || strings.TrimPrefix(part, "W/") == etag {
			return true
		}
	}
	return false
}
