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
	raised := f.Float64("raised", 0.08, "part of the accounts of ordinary illness in which rules find nothing that may be raised, in cross-validation")
	doubted := f.Float64("doubted", 0.01, "part of the urgent texts that may be doubted, in cross-validation")
	critical := f.Float64("critical", 0.05, "part of the accounts that are not critical which may be taken for it, in cross-validation")
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
	var odds [2][]float64
	for h, right := range []func(*example) bool{(*example).urgent, (*example).critical} {
		scores := validate(texts, right)
		p.Curves[h] = curve(texts, scores, h, right)
		odds[h] = make([]float64, len(texts))
		for i := range texts {
			odds[h][i] = probability(p.Curves[h], scores[i], h, &texts[i])
		}
		m := fit(texts, right)
		p.Weights[h], p.Bias[h] = m.weights, m.bias
	}
	p.Limits = learned.Limits{
		Raise:    above(texts, odds[0], *raised, func(e *example) bool { return e.account && !e.urgent() && !e.found[0] }),
		Keep:     above(texts, odds[0], 1-*doubted, func(e *example) bool { return e.urgent() && e.found[0] }),
		Critical: above(texts, odds[1], *critical, func(e *example) bool { return e.account && !e.critical() && !e.found[1] }),
	}
	both := func(i int) bool {
		return odds[0][i] >= p.Limits.Raise || texts[i].found[0] && odds[0][i] >= p.Limits.Keep
	}
	for h, right := range []func(i int) bool{
		func(i int) bool { return texts[i].urgent() }, func(i int) bool { return texts[i].critical() },
	} {
		report(out, "rules", texts, right, func(i int) bool { return texts[i].found[h] })
		report(out, "both", texts, right, func(i int) bool {
			return both(i) && (h == 0 || texts[i].found[1] || odds[1][i] >= p.Limits.Critical)
		})
	}
	fitGroups(texts, &p)
	b, err := learned.Encode(&p)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d texts, limits %+v, curves %.2f, %d bytes of weights\n", len(texts), p.Limits, p.Curves, len(b))
	return os.WriteFile(*file, b, 0o644)
}
