// Command train learns the second reading of the emergency screen from the
// development texts, and writes its weights. It is deterministic: the same texts
// and rules give the same file. What is held out is never read.
//
//	go run ./internal/clinical/emergency/learned/train
package main

import (
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/chatmed/chatmed/internal/clinical/emergency"
	"github.com/chatmed/chatmed/internal/clinical/emergency/learned"
)

const folder = "internal/clinical/emergency/testdata"

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "train:", err)
		os.Exit(1) //nolint:forbidigo // a program of its own
	}
}

func run(args []string, out io.Writer) error {
	f := flag.NewFlagSet("train", flag.ContinueOnError)
	file := f.String("out", "internal/clinical/emergency/learned/weights.bin", "file to write")
	raised := f.Float64("raised", 0.12, "part of the accounts of ordinary illness that may be raised, in cross-validation")
	doubted := f.Float64("doubted", 0.01, "part of the urgent texts that may be doubted, in cross-validation")
	if err := f.Parse(args); err != nil {
		return err
	}
	engine, err := emergency.NewRules()
	if err != nil {
		return err
	}
	texts, err := read(engine, folder)
	if err != nil {
		return err
	}
	p := learned.Parameters{Source: engine.Source()}
	for h, right := range []func(*example) bool{(*example).urgent, (*example).critical} {
		scores := validate(texts, right)
		p.Threshold[h] = highest(texts, scores, *raised, func(e *example) bool { return e.account && !right(e) })
		if h == int(learned.Urgent) {
			p.Doubt = lowest(texts, scores, *doubted, right)
			p.Curve = curve(texts, scores, right)
		}
		report(out, h, texts, scores, right, p.Threshold[h])
		m := fit(texts, right)
		p.Weights[h], p.Bias[h] = m.weights, m.bias
	}
	fitGroups(texts, &p)
	b, err := learned.Encode(&p)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d texts, doubt below %.2f, %d bytes of weights\n", len(texts), p.Doubt, len(b))
	return os.WriteFile(*file, b, 0o644)
}
