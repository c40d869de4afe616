// Package consult is the consultation itself: its identifiers, roles, states,
// events and error codes. It knows no database, no transport and no other
// package of this module; everything else imports it.
package consult

import (
	"crypto/rand"
	"time"

	"github.com/oklog/ulid/v2"
)

// Mode separates live data from sandbox data. No query crosses it.
type Mode string

// The two modes an API key can have.
const (
	Live Mode = "live"
	Test Mode = "test"
)

// Valid reports whether m is one of the two modes.
func (m Mode) Valid() bool { return m == Live || m == Test }

// Scope says whose data an operation may touch. Every stored row carries one
// and every query is bound to one.
type Scope struct {
	AccountID string `json:"account_id"`
	Mode      Mode   `json:"mode"`
}

// Identifier prefixes, as the public API documents them or in their manner.
const (
	PrefixConsultation = "vs"
	PrefixTicket       = "wt"
	PrefixAccount      = "acc"
	PrefixKey          = "key"
	PrefixParticipant  = "prt"
	PrefixMessage      = "msg"
	PrefixEvent        = "evt"
	PrefixAudit        = "aud"
	PrefixToken        = "tok"
	PrefixRequest      = "req"
	PrefixUser         = "usr"
	PrefixProfile      = "prof"
)

// NewID returns prefix_ULID. ULIDs sort by creation time, which keeps pages of
// a collection stable under inserts; their 80 random bits come from the
// operating system.
func NewID(prefix string) string {
	return prefix + "_" + ulid.MustNew(ulid.Now(), rand.Reader).String()
}

// Clock is the source of "now"; tests replace it.
type Clock func() time.Time

// MaxIDLength bounds the identifiers an integrator may choose for its doctors
// and patients, in bytes.
const MaxIDLength = 128

// ValidExternalID reports whether an integrator's own identifier is usable:
// 1 to MaxIDLength bytes, printable, without spaces, slashes or braces, so that
// it can stand in a URL path and in a Redis hash tag.
func ValidExternalID(id string) bool {
	if id == "" || len(id) > MaxIDLength {
		return false
	}
	for _, r := range id {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		case r == '_', r == '-', r == '.', r == ':', r == '@', r == '+', r == '=', r == '~':
		default:
			return false
		}
	}
	return true
}
