package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"
)

func TestRunUntilTheInputEnds(t *testing.T) {
	target, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = target.Close() }()
	in, say := io.Pipe()
	hear, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(t.Context(), []string{"--target", target.LocalAddr().String(), "--preset", "satellite"}, in, out)
	}()
	d := json.NewDecoder(hear)
	var first struct{ Listen string }
	if err := d.Decode(&first); err != nil || !strings.HasPrefix(first.Listen, "127.0.0.1:") {
		t.Fatal(first, err)
	}
	if _, err := io.WriteString(say, `{"op":"counters"}`+"\n"); err != nil {
		t.Fatal(err)
	}
	var answer struct{ OK bool }
	if err := d.Decode(&answer); err != nil || !answer.OK {
		t.Fatal(answer, err)
	}
	_ = say.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestRunUntilTheSignal(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	in, say := io.Pipe()
	defer func() { _ = say.Close() }()
	if err := run(ctx, []string{"--target", "127.0.0.1:9"}, in, io.Discard); err != nil {
		t.Error(err)
	}
}

func TestRefused(t *testing.T) {
	for _, args := range [][]string{{}, {"--target", "192.0.2.1:9"}, {"--target", "127.0.0.1:9", "--preset", "moon"}, {"--what"}} {
		if err := run(t.Context(), args, strings.NewReader(""), io.Discard); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}
