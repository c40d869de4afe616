package signaling

import "github.com/chatmed/chatmed/internal/consult"

// acquire returns the consultation's room, made if need be, with a reference
// that keeps it; nil while the server stops.
func (s *Server) acquire(sc consult.Scope, id string) *room {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return nil
	}
	r := s.rooms[id]
	if r == nil {
		r = newRoom(s, sc, id)
		s.rooms[id] = r
		s.metrics.rooms.Inc()
		s.roomsDone.Add(1)
		go func() {
			defer s.roomsDone.Done()
			r.run()
		}()
	}
	r.refs++
	return r
}

// acquireFor returns the room that participant is in, with a reference, or nil.
func (s *Server) acquireFor(participant string) *room {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.people[participant]
	if r != nil {
		r.refs++
	}
	return r
}

// release gives a reference back; the room may end now.
func (s *Server) release(r *room) {
	s.mu.Lock()
	r.refs--
	s.mu.Unlock()
	r.post(func() {})
}

// retire takes the room out if nobody holds it, and reports whether it did.
func (s *Server) retire(r *room) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.refs > 0 {
		return false
	}
	delete(s.rooms, r.id)
	s.metrics.rooms.Dec()
	return true
}

func (s *Server) register(participant string, r *room) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.people[participant] = r
}

// holds notes which token a participant came with.
func (s *Server) holds(participant, tokenID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[participant] = tokenID
}

// keyOf notes which API key made a room's consultation.
func (s *Server) keyOf(r *room, keyID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.keyID = keyID
}

func (s *Server) addBoard(b *dashboard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.boards[b] = struct{}{}
}

func (s *Server) removeBoard(b *dashboard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.boards, b)
}

func (s *Server) unregister(participant string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.people, participant)
	delete(s.tokens, participant)
}

func (s *Server) peek(id string) *room {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rooms[id]
}

func (s *Server) hasRoom(id string) bool { return s.peek(id) != nil }

func (s *Server) allRooms() []*room {
	s.mu.Lock()
	defer s.mu.Unlock()
	rooms := make([]*room, 0, len(s.rooms))
	for _, r := range s.rooms {
		rooms = append(rooms, r)
	}
	return rooms
}
