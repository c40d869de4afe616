package sfu_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"

	"filippo.io/age"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording/capture"
	"github.com/chatmed/chatmed/recording/journal"
	"github.com/chatmed/chatmed/sfu"
)

// proofTally says that there was something to find.
type proofTally struct{ sent, forbidden, required, recorded, periods int }

func (t *proofTally) add(o proofTally) {
	t.sent += o.sent
	t.forbidden += o.forbidden
	t.required += o.required
	t.recorded += o.recorded
	t.periods += o.periods
}

var numbers = regexp.MustCompile(`#(\d{8})#`)

// check reads the file back.
func (s *schedule) check(path string, key age.Identity, sum capture.Summary) (tally proofTally, wrong []string) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return tally, []string{err.Error()}
	}
	found := map[int]int{}
	perTrack := map[int]int64{}
	tracks := map[uint32]int{}
	runs := map[string][]uint64{} // extended numbers by stream and opening
	period := 0
	r := journal.NewReader(bytes.NewReader(raw), key)
	for {
		e, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return tally, []string{err.Error()}
		}
		switch e := e.(type) {
		case journal.Stream:
			tracks[e.ID] = int(e.Track)
		case journal.Gate:
			if e.Open {
				period++
			}
		case *journal.Packet:
			perTrack[tracks[e.Stream]]++
			run := fmt.Sprintf("%d/%d/%d", tracks[e.Stream], e.Stream, period)
			runs[run] = append(runs[run], e.ExtSeq)
			wrong = append(wrong, s.checkPayload(e.Payload, found)...)
		}
	}
	for n, p := range s.packets {
		tally.sent++
		if p.arrived > 0 && !p.allowed {
			tally.forbidden++
		}
		if p.required {
			tally.required++
			if found[n] == 0 {
				wrong = append(wrong, fmt.Sprintf("packet %d is missing: %+v", n, *p))
			}
		}
		if p.stale && found[n] > 0 {
			wrong = append(wrong, fmt.Sprintf("packet %d is of before the opening: %+v", n, *p))
		}
		if found[n] > 1 {
			wrong = append(wrong, fmt.Sprintf("packet %d is there %d times", n, found[n]))
		}
	}
	tally.recorded, tally.periods = len(found), period
	return tally, append(wrong, s.checkSummary(sum, perTrack, runs)...)
}

// checkPayload looks at the numbers in a packet: its own is the last, before it
// may stand what it repeats.
func (s *schedule) checkPayload(payload []byte, found map[int]int) (wrong []string) {
	all := numbers.FindAllSubmatch(payload, -1)
	if len(all) == 0 {
		return []string{"a packet without a number"}
	}
	own := 0
	for i, m := range slices.Backward(all) {
		n, _ := strconv.Atoi(string(m[1]))
		p := s.packets[n]
		if i == len(all)-1 {
			own = n
			found[n]++
		}
		// What is repeated came with the repetition, unless it had come before.
		if p.arrived > 0 && !p.allowed && p.order <= s.packets[own].order {
			wrong = append(wrong, fmt.Sprintf("packet %d is in the file and was not to be: %+v", n, *p))
		}
	}
	return wrong
}

// checkSummary compares the accounts with the file.
func (s *schedule) checkSummary(sum capture.Summary, perTrack map[int]int64, runs map[string][]uint64) (wrong []string) {
	lost := map[int]int64{}
	for run, exts := range runs {
		var track int
		_, _ = fmt.Sscanf(run, "%d/", &track)
		lost[track] += int64(slices.Max(exts)-slices.Min(exts)+1) - int64(len(exts))
	}
	for _, t := range sum.Tracks {
		if t.Packets != perTrack[t.ID] || t.Dropped != 0 {
			wrong = append(wrong, fmt.Sprintf("track %+v, in the file %d", t, perTrack[t.ID]))
		}
		layered := t.Source == consult.SourceCamera && slices.ContainsFunc(s.people, func(g *guest) bool { return g.id == t.ParticipantID && g.simulcast })
		if !layered && t.Lost != lost[t.ID] {
			wrong = append(wrong, fmt.Sprintf("track %+v, by the file %d are lost", t, lost[t.ID]))
		}
	}
	return wrong
}

// playSchedules plays so many of a seed, several at a time: most of their time
// is spent on having files on disk.
func playSchedules(t *testing.T, seed uint64, count int, f fault) (total proofTally, bad int) {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var next int
	var wg sync.WaitGroup
	play := func(room *sfu.ProofRoom) {
		for {
			mu.Lock()
			i := next
			next++
			mu.Unlock()
			if i >= count {
				return
			}
			path := filepath.Join(t.TempDir(), strconv.Itoa(i))
			s := &schedule{rnd: rand.New(rand.NewPCG(seed, uint64(i))), fault: f, room: room}
			tally, wrong := s.run(path, key)
			_ = os.Remove(path)
			mu.Lock()
			total.add(tally)
			if len(wrong) > 0 {
				bad++
			}
			mu.Unlock()
			if len(wrong) > 0 && f == noFault {
				t.Errorf("schedule %d of seed %d: %d wrong, first: %s", i, seed, len(wrong), wrong[0])
			}
		}
	}
	for range 4 {
		room := sfu.NewProofRoom(t)
		wg.Go(func() { play(room) })
	}
	wg.Wait()
	return total, bad
}

// TestNothingWithoutConsent plays random consultations with numbered packets
// through the real fan-out into real journals, and reads these back: not one
// packet is in them that came after a withdrawal, before the last grant, or while
// anybody present had not granted, and every other one is. CHATMED_PROOF_SEED
// repeats a run. With the race detector there are fewer of them.
func TestNothingWithoutConsent(t *testing.T) {
	seed := rand.Uint64()
	if s := os.Getenv("CHATMED_PROOF_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d", seed)
	total, _ := playSchedules(t, seed, proofSchedules, noFault)
	t.Logf("%+v", total)
	if total.forbidden < 100*proofSchedules || total.required < 100*proofSchedules || total.recorded < total.required || total.periods < proofSchedules {
		t.Errorf("the schedules show too little: %+v", total)
	}
}

// TestProofNotices: the proof fails for each thing that can be wrong.
func TestProofNotices(t *testing.T) {
	for f := noFault + 1; f < faultsInAll; f++ {
		t.Run(f.String(), func(t *testing.T) {
			if _, bad := playSchedules(t, 1, 40, f); bad == 0 {
				t.Error("went unnoticed")
			} else {
				t.Logf("noticed in %d of 40 schedules", bad)
			}
		})
	}
}
