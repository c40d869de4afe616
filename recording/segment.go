package recording

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording/gate"
)

// Names of what lies in the directory until it is handed over: a segment and
// its note, and a withdrawal that the store did not take.
const (
	journalExt = ".journal"
	noteExt    = ".segment.json"
	consentExt = ".consent.json"
)

// segment is one file of a recording. Its note, beside it, is what a restart
// knows of it. Owned by the keeper's goroutine once it has been taken; ids, states
// and times only.
type segment struct {
	ID          string        `json:"id"`
	Scope       consult.Scope `json:"scope"`
	SessionID   string        `json:"session_id"`
	RecordingID string        `json:"recording_id"`
	Number      int           `json:"number"` // from 0
	StartedAt   time.Time     `json:"started_at"`
	// Offset is when it began since the recording's start.
	Offset time.Duration `json:"offset"`
	// EndedAt is the last time that it was known to go on.
	EndedAt time.Time `json:"ended_at"`
	// Closed says that it was ended in order and that Summary is whole.
	Closed  bool    `json:"closed"`
	Summary Summary `json:"summary"`
	// Counted is how much of Summary.Duration stands in the recording's row.
	Counted time.Duration `json:"counted"`

	dir string
}

// path is the segment's file, key its name in the blob store. Ids sort by time.
func (g *segment) path() string { return filepath.Join(g.dir, g.ID+journalExt) }
func (g *segment) key() string  { return "recordings/" + g.RecordingID + "/" + g.ID + journalExt }

// end is when it ended since the recording's start.
func (g *segment) end() time.Duration {
	return g.Offset + max(g.Summary.End, g.EndedAt.Sub(g.StartedAt))
}

// save writes the note.
func (g *segment) save() error { return writeJSON(filepath.Join(g.dir, g.ID+noteExt), g) }

// remove takes the segment off the disk, the note last.
func (g *segment) remove() error {
	return errors.Join(gone(g.path()), gone(filepath.Join(g.dir, g.ID+noteExt)))
}

func gone(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("recording: %w", err)
	}
	return nil
}

// writeJSON replaces a file in one step.
func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("recording: %w", errors.Join(err, gone(f.Name())))
	}
	return nil
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return fmt.Errorf("recording: %s: %w", filepath.Base(path), err)
	}
	return nil
}

// keepConsent puts a decision on the disk until the store has it.
func (s *Service) keepConsent(c consult.Consent) error {
	return writeJSON(filepath.Join(s.cfg.Dir, c.ID+consentExt), c)
}

func (s *Service) forgetConsent(id string) {
	if err := gone(filepath.Join(s.cfg.Dir, id+consentExt)); err != nil {
		s.log.Error("stored withdrawal not removed from the disk", "err", err)
	}
}

// recover reads what an earlier run left: withdrawals, which hold from the first
// moment, and segments, which Run hands over. A file that cannot be read is left
// where it is.
func (s *Service) recover() error {
	entries, err := os.ReadDir(s.cfg.Dir) // sorted, and so by time
	if err != nil {
		return fmt.Errorf("recording: directory: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(s.cfg.Dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), ".new-"):
			err = gone(path)
		case strings.HasSuffix(e.Name(), consentExt):
			var c consult.Consent
			if err = readJSON(path, &c); err == nil {
				s.withhold(c)
			}
		case strings.HasSuffix(e.Name(), noteExt):
			g := &segment{dir: s.cfg.Dir}
			if err = readJSON(path, g); err == nil {
				s.adopt(g)
			}
		}
		if err != nil {
			s.log.Error("left by an earlier run and not usable", "err", err)
		}
	}
	return nil
}

// withhold puts a decision of an earlier run in force that the store did not
// take.
func (s *Service) withhold(c consult.Consent) {
	s.mu.Lock()
	ses := s.sessions[c.SessionID]
	if ses == nil {
		ses = newSession(s, c.Scope, c.SessionID)
		s.sessions[c.SessionID] = ses
	}
	s.mu.Unlock()
	who := gate.Person{Role: c.Role, Subject: c.Subject}
	ses.mu.Lock()
	ses.unsaved = append(ses.unsaved, c)
	ses.decided[who]++
	ses.gate.Decide(who, c.Decision)
	ses.mu.Unlock()
	s.metrics.unsaved.Inc()
	ses.saveSoon()
}
