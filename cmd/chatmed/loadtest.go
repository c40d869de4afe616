package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/chatmed/chatmed/internal/config"
	"github.com/chatmed/chatmed/internal/loadtest"
	"github.com/chatmed/chatmed/internal/loadtest/pionsfu"
)

// loadTest plays many clients against a running server and reports what they
// got and what it cost. loadtest soak lets them come and go, loadtest report
// puts the JSON files of several runs together, and loadtest pionsfu is a server
// to compare with.
func loadTest(ctx context.Context, args []string, out, progress io.Writer) error {
	command := ""
	if len(args) > 0 && slices.Contains([]string{"soak", "report", "pionsfu"}, args[0]) {
		command, args = args[0], args[1:]
	}
	fs := flag.NewFlagSet("chatmed loadtest "+command, flag.ContinueOnError)
	file := fs.String("json", "", "also write the result to this file")
	switch command {
	case "report":
		return loadReport(fs, args, file, out)
	case "pionsfu":
		return servePion(ctx, fs, args, progress)
	}
	o := loadtest.Options{Version: version}
	loadFlags(fs, &o)
	var soak loadtest.SoakOptions
	if command == "soak" {
		fs.IntVar(&soak.Joins, "joins", 1000, "joins in all")
		fs.IntVar(&soak.Every, "every", 50, "joins between two looks at the server")
		fs.IntVar(&soak.Renew, "renew", 50, "joins after which a room is ended and another made")
	}
	if err := config.ParseFlags(fs, args); err != nil {
		return err
	}
	o.Key = cmp.Or(o.Key, os.Getenv("LOADTEST_KEY"))
	if command == "soak" {
		r, err := loadtest.Soak(ctx, o, soak, progress)
		if r == nil {
			return err
		}
		return errors.Join(err, r.Print(out), writeJSON(*file, r))
	}
	r, err := loadtest.Run(ctx, o, progress)
	if err != nil {
		return err
	}
	return errors.Join(r.Print(out), writeJSON(*file, r))
}

func loadFlags(fs *flag.FlagSet, o *loadtest.Options) {
	fs.StringVar(&o.Target, "target", loadtest.TargetChatMed, "chatmed, janus (videoroom over WebSocket) or pion (chatmed loadtest pionsfu)")
	fs.StringVar(&o.URL, "url", "http://127.0.0.1:8080", "the server; for janus ws://…")
	fs.StringVar(&o.Key, "key", "", "API key, or LOADTEST_KEY")
	fs.StringVar(&o.Admin, "admin", "", "URL of the admin pages, for the server's CPU and memory")
	fs.IntVar(&o.PID, "pid", 0, "process id of the server, for its CPU and memory")
	fs.StringVar(&o.Name, "name", "", "name of the workload in the report")
	fs.IntVar(&o.Round, "round", 1, "number of the repetition in the report")
	fs.StringVar(&o.Version, "server-version", o.Version, "version of the server in the report")
	fs.IntVar(&o.Rooms, "rooms", 1, "rooms")
	fs.IntVar(&o.Participants, "participants", 2, "participants of each room")
	fs.IntVar(&o.Publishers, "publishers", 0, "participants of each room that publish; 0 for all")
	fs.StringVar(&o.Profile, "profile", loadtest.ProfileCamera, "audio, camera, small or simulcast")
	fs.BoolVar(&o.Record, "record", false, "have every room recorded")
	fs.BoolVar(&o.RED, "red", false, "send Opus as RED")
	fs.DurationVar(&o.Ramp, "ramp", 20*time.Millisecond, "at least this between the starts of two joins")
	fs.DurationVar(&o.Settle, "settle", 2*time.Second, "pause after the last join")
	fs.DurationVar(&o.Duration, "duration", 20*time.Second, "how long to measure")
	fs.TextVar(&o.MediaIP, "media-ip", netip.Addr{}, "address of this machine to send media from; default loopback")
	fs.BoolVar(&o.AllowRemote, "allow-remote", false, "load a server that is not this machine")
}

// servePion runs the yardstick of the path around Pion's PeerConnection until
// ctx ends.
func servePion(ctx context.Context, fs *flag.FlagSet, args []string, progress io.Writer) error {
	addr := fs.String("addr", "127.0.0.1:0", "address to answer at")
	media := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	fs.TextVar(&media, "media-ip", media, "address of this machine for the media")
	if err := config.ParseFlags(fs, args); err != nil {
		return err
	}
	s, err := pionsfu.Listen(ctx, *addr, media)
	if err != nil {
		return err
	}
	fmt.Fprintf(progress, "pionsfu at http://%s\n", s.Addr())
	<-ctx.Done()
	return s.Close()
}

// loadReport prints medians and ratios of the runs in the files that args name.
func loadReport(fs *flag.FlagSet, args []string, file *string, out io.Writer) error {
	if err := fs.Parse(args); err != nil {
		return err
	}
	runs, err := loadtest.ReadResults(fs.Args())
	if err != nil {
		return err
	}
	s := loadtest.Summarise(runs)
	return errors.Join(s.Print(out), writeJSON(*file, s))
}

// writeJSON writes v to the file of that name, if any.
func writeJSON(name string, v any) error {
	if name == "" {
		return nil
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(name, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("result: %w", err)
	}
	return nil
}
