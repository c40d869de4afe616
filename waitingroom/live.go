package waitingroom

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/chatmed/chatmed/internal/consult"
)

// How Redis and SQL stay in step.
//
//   - A ticket's Version orders its states; an older one never replaces a newer.
//   - A closed ticket stays as a tombstone, so that a late older state is known.
//   - A rebuild notes the queue's epoch and write number, then reads SQL, then
//     loads. What Redis had before the note is replaced by SQL's answer; what was
//     written since may be newer than that answer and is kept, by Version. If
//     the epoch has changed (flush, restart, eviction, another rebuild, doubt),
//     the load is refused: tombstones that it needs may be gone.
//   - An open ticket that Redis does not know is inserted only if the epoch was
//     noted before SQL was written or read; else the ticket is read again first.
//   - A node that dies between commit and apply leaves the copy behind by one
//     ticket. Its marker expires after RecheckEvery, and the next read rebuilds.

//go:embed lua/*.lua
var luaFiles embed.FS

// keepFor is how long an unused queue stays in Redis.
const keepFor = 24 * time.Hour

// breakFor is how often Redis is tried after it failed to answer: by one call,
// so that an unreachable one does not cost every call its whole timeout.
const breakFor = time.Second

var (
	// errDown says that Redis did not answer; SQL takes over.
	errDown = errors.New("redis is unreachable")
	// errNotLoaded says that the queue must be rebuilt from SQL.
	errNotLoaded = errors.New("queue is not loaded")
)

// queue names one doctor's queue.
type queue struct {
	scope  consult.Scope
	doctor string
}

func queueOf(t *consult.Ticket) queue { return queue{t.Scope, t.DoctorID} }

// keys shares one hash tag, so that a script's keys live on one cluster node.
func (q queue) keys() []string {
	base := "wr:{" + q.scope.AccountID + ":" + string(q.scope.Mode) + ":" + q.doctor + "}:"
	return []string{base + "order", base + "tickets", base + "state", base + "loaded", base + "habit", base + "pages"}
}

func (q queue) topic() string { return consult.QueueTopic(q.scope, q.doctor) }

// live is the copy of the queues in Redis.
type live struct {
	rdb     redis.UniversalClient
	recheck time.Duration
	scripts map[string]*redis.Script // by file name without extension

	mu       sync.Mutex
	down     bool
	tryAfter time.Time // while down; wall clock: this is about a real connection
}

func newLive(rdb redis.UniversalClient, recheck time.Duration) *live {
	l := &live{rdb: rdb, recheck: recheck, scripts: make(map[string]*redis.Script)}
	shared := script("queue")
	for _, name := range []string{"enter", "apply", "begin", "load", "doubt", "list", "place", "told", "shift", "pages"} {
		l.scripts[name] = redis.NewScript(shared + script(name))
	}
	return l
}

// script returns an embedded file. They are part of the binary: a missing one
// would make every call fail, and every read fall back to SQL.
func script(name string) string {
	b, err := luaFiles.ReadFile("lua/" + name + ".lua")
	if err != nil {
		return "error('script missing')"
	}
	return string(b) + "\n"
}

func (l *live) run(ctx context.Context, name string, q queue, args ...any) (any, error) {
	if !l.mayTry() {
		return nil, errDown
	}
	c, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	v, err := l.scripts[name].Run(c, l.rdb, q.keys(), args...).Result()
	if err == nil {
		l.mend()
		return v, nil
	}
	if errors.Is(err, redis.Nil) {
		l.mend()
		return nil, errNotLoaded
	}
	if ctx.Err() == nil { // the caller giving up says nothing about Redis
		l.mu.Lock()
		l.down, l.tryAfter = true, time.Now().Add(breakFor)
		l.mu.Unlock()
	}
	return nil, fmt.Errorf("%w: %s: %w", errDown, name, err)
}

// mayTry reports whether to ask Redis: always, or once in a while when it is down.
func (l *live) mayTry() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.down {
		return true
	}
	now := time.Now()
	if now.Before(l.tryAfter) {
		return false
	}
	l.tryAfter = now.Add(breakFor)
	return true
}

// isDown reports whether Redis failed to answer last.
func (l *live) isDown() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.down
}

// mend lets the next call try Redis at once.
func (l *live) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
}

// strs reads a script's reply of strings.
func strs(v any, atLeast int) ([]string, error) {
	list, ok := v.([]any)
	if !ok || len(list) < atLeast {
		return nil, fmt.Errorf("%w: unexpected reply", errDown)
	}
	out := make([]string, len(list))
	for i, e := range list {
		if out[i], ok = e.(string); !ok {
			return nil, fmt.Errorf("%w: unexpected reply", errDown)
		}
	}
	return out, nil
}

// enter takes a rank and the epoch under which a new ticket may be inserted.
func (l *live) enter(ctx context.Context, q queue, now time.Time) (rank int64, epoch string, err error) {
	v, err := l.run(ctx, "enter", q, now.UnixMicro())
	if err != nil {
		return 0, "", err
	}
	s, err := strs(v, 2)
	if err != nil {
		return 0, "", err
	}
	if rank, err = strconv.ParseInt(s[0], 10, 64); err != nil {
		return 0, "", fmt.Errorf("%w: rank: %w", errDown, err)
	}
	return rank, s[1], nil
}

// apply brings a committed ticket in. unsure asks the caller to read the ticket
// again and to apply it with the epoch returned. pickup < 0 means none.
func (l *live) apply(ctx context.Context, t *consult.Ticket, epoch string, pickup time.Duration) (now string, unsure bool, err error) {
	open, payload, admitted, took := "0", "", "", ""
	switch {
	case t.Status.Open():
		if payload, err = encode(t); err != nil {
			return "", false, err
		}
		open = "1"
	case t.Status == consult.TicketAdmitted:
		admitted = t.SessionID
		if pickup >= 0 {
			took = strconv.FormatInt(pickup.Milliseconds(), 10)
		}
	}
	v, err := l.run(ctx, "apply", queueOf(t), epoch, t.ID, t.Version, t.Rank, open, payload, admitted, took)
	if err != nil {
		return "", false, err
	}
	s, err := strs(v, 2)
	if err != nil {
		return "", false, err
	}
	return s[1], s[0] == "unsure", nil
}

// begun is what a rebuild noted before it read SQL.
type begun struct{ epoch, seq string }

func (l *live) begin(ctx context.Context, q queue) (begun, error) {
	v, err := l.run(ctx, "begin", q, nonce(), keepFor.Milliseconds())
	if err != nil {
		return begun{}, err
	}
	s, err := strs(v, 2)
	if err != nil {
		return begun{}, err
	}
	return begun{s[0], s[1]}, nil
}

// load ends a rebuild; false means refused, begin again.
func (l *live) load(ctx context.Context, q queue, b begun, tickets []consult.Ticket) (bool, error) {
	args := []any{b.epoch, b.seq, nonce(), l.recheck.Milliseconds(), keepFor.Milliseconds()}
	for i := range tickets {
		payload, err := encode(&tickets[i])
		if err != nil {
			return false, err
		}
		args = append(args, tickets[i].ID, tickets[i].Version, tickets[i].Rank, payload)
	}
	v, err := l.run(ctx, "load", q, args...)
	return v == int64(1), err
}

func (l *live) doubt(ctx context.Context, q queue) error {
	_, err := l.run(ctx, "doubt", q, nonce())
	return err
}

func (l *live) told(ctx context.Context, q queue, id string) error {
	_, err := l.run(ctx, "told", q, id)
	return err
}

func (l *live) shift(ctx context.Context, q queue, id string) error {
	_, err := l.run(ctx, "shift", q, id)
	return err
}

// pages notes that these pages of the doctor are open until then, and returns
// how many are, those of other nodes included.
func (l *live) pages(ctx context.Context, q queue, now, until time.Time, ids ...string) (int, error) {
	args := []any{now.UnixMilli(), until.UnixMilli()}
	for _, id := range ids {
		args = append(args, id)
	}
	v, err := l.run(ctx, "pages", q, args...)
	if err != nil {
		return 0, err
	}
	n, ok := v.(int64)
	if !ok {
		return 0, fmt.Errorf("%w: unexpected reply", errDown)
	}
	return int(n), nil
}

// history is what Redis remembers of the doctor beside the queue.
type history struct {
	last    string          // session admitted last, "" when unknown
	pickups []time.Duration // free doctor and waiting patient → admitted, newest first
}

// snapshot is a queue in order.
type snapshot struct {
	history
	tickets []consult.Ticket
	told    []bool // beside tickets
}

func (l *live) list(ctx context.Context, q queue) (*snapshot, error) {
	v, err := l.run(ctx, "list", q)
	if err != nil {
		return nil, err
	}
	s, err := strs(v, 2)
	if err != nil {
		return nil, err
	}
	out := &snapshot{history: readHistory(s)}
	for s = s[2:]; len(s) >= 2; s = s[2:] {
		var t consult.Ticket
		if err := json.Unmarshal([]byte(s[1]), &t); err != nil {
			return nil, fmt.Errorf("%w: ticket does not parse", errDown)
		}
		out.tickets = append(out.tickets, t)
		out.told = append(out.told, s[0] == "1")
	}
	return out, nil
}

// spot is one ticket's place.
type spot struct {
	history
	position int   // from 1; 0 when not in the queue
	version  int64 // 0 when unknown to Redis
	told     bool
	length   int  // of the queue
	shifted  bool // sent back, or come from another doctor
}

func (l *live) place(ctx context.Context, q queue, id string) (*spot, error) {
	v, err := l.run(ctx, "place", q, id)
	if err != nil {
		return nil, err
	}
	s, err := strs(v, 7)
	if err != nil {
		return nil, err
	}
	out := &spot{history: readHistory(s), told: s[4] == "1", shifted: s[6] == "1"}
	var e1, e2, e3 error
	out.position, e1 = strconv.Atoi(s[2])
	out.version, e2 = strconv.ParseInt(s[3], 10, 64)
	out.length, e3 = strconv.Atoi(s[5])
	if err := errors.Join(e1, e2, e3); err != nil {
		return nil, fmt.Errorf("%w: place: %w", errDown, err)
	}
	return out, nil
}

func readHistory(s []string) history {
	h := history{last: s[0]}
	for f := range strings.SplitSeq(s[1], ",") {
		if ms, err := strconv.ParseInt(f, 10, 64); err == nil && ms >= 0 {
			h.pickups = append(h.pickups, time.Duration(ms)*time.Millisecond)
		}
	}
	return h
}

// encode writes an open ticket for Redis. Names and reasons stand in it: the
// Redis of a clinic is as confidential as its database.
func encode(t *consult.Ticket) (string, error) {
	b, err := json.Marshal(t)
	return string(b), err
}

func nonce() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, since Go 1.24
	return hex.EncodeToString(b[:])
}
