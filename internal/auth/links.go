package auth

import (
	"net/url"

	"github.com/chatmed/chatmed/internal/consult"
)

// Links makes the URLs people open. Tokens stand in the fragment, which
// browsers never send (RFC 3986 section 3.5), so no server log gets one.
type Links struct {
	RoomURL   string // origin of the rooms, without a trailing slash
	PublicURL string // origin of the pages
}

// Room is the room_url of a consultation.
func (l Links) Room(sessionID, token string) string {
	return l.RoomURL + "/room/" + url.PathEscape(sessionID) + fragment(token)
}

// Join is the doctor_join_url or patient_join_url, or that of another role.
func (l Links) Join(sessionID string, role consult.Role, token string) string {
	return l.RoomURL + "/room/" + url.PathEscape(sessionID) + "?role=" + url.QueryEscape(string(role)) + fragment(token)
}

// Dashboard is a doctor's dashboard_url.
func (l Links) Dashboard(token string) string { return l.PublicURL + "/doctor" + fragment(token) }

func fragment(token string) string { return "#token=" + url.QueryEscape(token) }
