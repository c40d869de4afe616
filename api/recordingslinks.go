package api

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/limits"
)

const linkPath = "/api/v1/recordings/links/"

func (s *server) recordingLinkRoutes() []route {
	return []route{
		{http.MethodPost, "/api/v1/recordings/{recording_id}/links", s.createLink},
		{http.MethodGet, linkPath + "{link}", s.followLink},
	}
}

// link is a right to read one file for a while.
type link struct {
	scope     consult.Scope
	keyID     string // that made it, and ends it
	recording string
	file      string
	expires   time.Time // whole seconds
}

// linkSigner makes links that nobody else can. Immutable.
type linkSigner struct{ keys [][]byte }

const (
	linkKeySize = 32
	linkVersion = 1
	maxLink     = 700 // characters
	defaultLink = 15 * time.Minute
)

// newLinkSigner takes 32-byte keys, the current one first; without any it makes
// one that lasts as long as the process.
func newLinkSigner(keys [][]byte) (*linkSigner, error) {
	if len(keys) == 0 {
		random := make([]byte, linkKeySize)
		_, _ = rand.Read(random) // ends the process rather than fail
		keys = [][]byte{random}
	}
	for _, key := range keys {
		if len(key) != linkKeySize {
			return nil, fmt.Errorf("a link key has %d bytes, not %d", len(key), linkKeySize)
		}
	}
	return &linkSigner{keys: keys}, nil
}

// sign is the link as a URL carries it: ids, the time it ends, and HMAC-SHA-256
// over them. Every field has its length before it, so no two links are alike.
func (l *linkSigner) sign(k link) (string, error) {
	at := k.expires.Unix()
	if at < 0 || at > math.MaxUint32 {
		return "", fmt.Errorf("a link cannot end at %s", k.expires)
	}
	b := binary.BigEndian.AppendUint32([]byte{linkVersion}, uint32(at))
	for _, field := range []string{k.scope.AccountID, string(k.scope.Mode), k.keyID, k.recording, k.file} {
		if len(field) > math.MaxUint8 {
			return "", fmt.Errorf("an id of %d bytes has no place in a link", len(field))
		}
		b = append(append(b, byte(len(field))), field...)
	}
	out := base64.RawURLEncoding.EncodeToString(append(b, l.mac(l.keys[0], b)...))
	if len(out) > maxLink {
		return "", fmt.Errorf("a link has %d characters", len(out))
	}
	return out, nil
}

func (l *linkSigner) mac(key, what []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(what)
	return h.Sum(nil)
}

// open reads a link that we have signed; ok is false for any other text.
func (l *linkSigner) open(text string) (k link, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	// Go's base64 skips line breaks even when strict.
	if err != nil || len(text) > maxLink || strings.ContainsAny(text, "\r\n") || len(raw) < 5+sha256.Size {
		return link{}, false
	}
	b, tag := raw[:len(raw)-sha256.Size], raw[len(raw)-sha256.Size:]
	for _, key := range l.keys {
		ok = hmac.Equal(l.mac(key, b), tag) || ok
	}
	if !ok || b[0] != linkVersion {
		return link{}, false
	}
	k.expires = time.Unix(int64(binary.BigEndian.Uint32(b[1:5])), 0).UTC()
	in := bytes.NewBuffer(b[5:])
	for _, to := range []*string{&k.scope.AccountID, (*string)(&k.scope.Mode), &k.keyID, &k.recording, &k.file} {
		n, err := in.ReadByte()
		if err != nil || in.Len() < int(n) {
			return link{}, false
		}
		*to = string(in.Next(int(n)))
	}
	return k, in.Len() == 0
}

type createLinkBody struct {
	FileID    string `json:"file_id"`
	ExpiresIn int64  `json:"expires_in"` // seconds
}

type linkBody struct {
	URL       string `json:"url"`
	FileID    string `json:"file_id"`
	ExpiresAt string `json:"expires_at"`
}

func (s *server) createLink(ctx context.Context, r *request) (any, error) {
	b := createLinkBody{ExpiresIn: int64(defaultLink / time.Second)}
	if err := r.decode(&b); err != nil {
		return nil, err
	}
	rec, err := s.recording(ctx, r)
	if err != nil {
		return nil, err
	}
	f, err := fileOf(rec, b.FileID)
	if err != nil {
		return nil, err
	}
	if !s.holdsKey(rec) {
		return nil, noKey()
	}
	k := link{
		scope: rec.Scope, keyID: r.key.ID, recording: rec.ID, file: f.ID,
		expires: s.Now().UTC().Add(time.Duration(b.ExpiresIn) * time.Second).Truncate(time.Second),
	}
	text, err := s.links.sign(k)
	if err != nil {
		return nil, err
	}
	return linkBody{URL: s.Config.PublicURL + linkPath + text, FileID: f.ID, ExpiresAt: rfc3339(k.expires)}, nil
}

// followLink is the file of a link: for whoever has it, until it ends, its key
// does, or the recording is deleted.
func (s *server) followLink(ctx context.Context, r *request) (any, error) {
	k, ok := s.links.open(r.params["link"])
	if !ok {
		return nil, consult.Errorf(consult.NotFound, "", "This link is not one of ours.")
	}
	if !s.Now().Before(k.expires) {
		return nil, consult.Errorf(consult.Forbidden, consult.ReasonLinkExpired, "This link has expired.")
	}
	if err := s.linkCounts(ctx, k); err != nil {
		return nil, err
	}
	rec, err := s.Recordings.Recording(ctx, k.scope, k.recording)
	if err != nil {
		return nil, err
	}
	f, err := fileOf(rec, k.file)
	if err != nil {
		return nil, err
	}
	st, err := s.openFile(ctx, r, rec, f, download{actor: consult.Actor{Kind: consult.ActorKey, ID: k.keyID}, by: k.keyID, link: true})
	if err != nil {
		return nil, err
	}
	st.inline = true
	return st, nil
}

// linkCounts refuses a link whose key could not make it any more.
func (s *server) linkCounts(ctx context.Context, k link) error {
	key, err := s.KeyAdmin.KeyByID(ctx, k.scope, k.keyID)
	if err != nil && !consult.HasCode(err, consult.NotFound) {
		return err
	}
	if err != nil || key.RevokedAt != nil || key.ExpiresAt != nil && !s.Now().Before(*key.ExpiresAt) || !key.Has(consult.ScopeRecordings) {
		return consult.Errorf(consult.Forbidden, consult.ReasonLinkRevoked, "The API key that made this link does not count any more.")
	}
	return s.planHas(key, limits.GroupRecording)
}
