package loadtest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"time"
)

// The servers a load can be put on.
const (
	TargetChatMed = "chatmed"
	TargetJanus   = "janus"
	TargetPion    = "pion" // package pionsfu, the path that ours goes around
)

const (
	maxRooms = 1000
	maxPeers = 2000
)

// Options say what load is put on which server.
type Options struct {
	Target  string // TargetChatMed, TargetJanus or TargetPion
	URL     string // of the server: http://… or, for Janus, ws://…
	Key     string // API key of ChatMed
	Admin   string // URL of the admin pages, for /metrics; "" for none
	PID     int    // of the server's process on this machine; 0 for unknown
	Name    string // of the workload, in the report
	Round   int    // which repetition this is, in the report
	Version string // of the server or of this program, in the report

	Rooms        int
	Participants int // per room
	Publishers   int // per room; 0 for all
	Profile      string
	RED          bool // Opus with one redundant block each (RFC 2198)
	Record       bool // every room is recorded; ChatMed only

	Ramp     time.Duration // at least this between the starts of two joins
	Settle   time.Duration // after the last join, before the window
	Duration time.Duration // of the window that is measured

	// MediaIP is this machine's address that the clients send media from; zero
	// for loopback. A server that offers no loopback address needs another.
	MediaIP netip.Addr

	AllowRemote bool // other than loopback addresses
}

// check reports the first mistake.
func (o *Options) check() error {
	switch {
	case o.Target != TargetChatMed && o.Target != TargetJanus && o.Target != TargetPion:
		return fmt.Errorf("unknown target %q: %s, %s or %s", o.Target, TargetChatMed, TargetJanus, TargetPion)
	case o.Target == TargetChatMed && o.Key == "":
		return errors.New("an API key is needed: make one with chatmed keys create --plan enterprise --mode test, and give it as --key or LOADTEST_KEY")
	case o.Record && o.Target != TargetChatMed:
		return fmt.Errorf("only %s records", TargetChatMed)
	case o.Rooms < 1 || o.Rooms > maxRooms || o.Participants < 2 || o.Rooms*o.Participants > maxPeers:
		return fmt.Errorf("%d rooms of %d: from 1 to %d rooms of at least 2, at most %d participants in all", o.Rooms, o.Participants, maxRooms, maxPeers)
	case o.Publishers < 0 || o.Publishers > o.Participants:
		return fmt.Errorf("%d publishers of %d participants", o.Publishers, o.Participants)
	case o.Duration <= 0 || o.Ramp < 0 || o.Settle < 0:
		return errors.New("the duration is above zero, ramp and settle are not below it")
	}
	if _, err := profileOf(o.Profile, o.RED); err != nil {
		return err
	}
	for _, raw := range []string{o.URL, o.Admin} {
		if raw == "" && o.URL != "" {
			continue
		}
		if err := o.checkURL(raw); err != nil {
			return err
		}
	}
	return nil
}

// checkURL keeps an accident from becoming an attack: only this machine is
// loaded unless remote targets are allowed.
func (o *Options) checkURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" {
		return fmt.Errorf("%q is no URL", raw)
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if (err == nil && ip.IsLoopback()) || u.Hostname() == "localhost" || o.AllowRemote {
		return nil
	}
	return fmt.Errorf("%s is not this machine: --allow-remote loads a server you are responsible for", u.Hostname())
}

// publishers is how many of a room publish.
func (o *Options) publishers() int {
	if o.Publishers == 0 {
		return o.Participants
	}
	return o.Publishers
}

// sources is how many publications the participant at index sees.
func (o *Options) sources(index int) int {
	n := o.publishers()
	if index < n {
		n--
	}
	return n
}

// mediaFrom is the filter of the clients' own addresses.
func (o *Options) mediaFrom(ip net.IP) bool {
	if o.MediaIP.IsValid() {
		return ip.Equal(o.MediaIP.AsSlice())
	}
	return o.AllowRemote || ip.IsLoopback()
}
