package signaling

// pingRequest asks whether anyone is there; pages cannot see WebSocket pings.
type pingRequest struct{}

// pongMessage answers ping.
type pongMessage struct {
	Type string `json:"type"`
	ID   string `json:"id,omitempty"`
}

func (pongMessage) kind() string { return "pong" }

func (pingRequest) handle(s *session, id string) { s.send(pongMessage{Type: "pong", ID: id}) }
