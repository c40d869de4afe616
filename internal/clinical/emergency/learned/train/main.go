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
	raised := f.Float64("raised", 0.12, "part of the accounts of ordinary illness in which rules find nothing that may be raised, in cross-validation")
	doubted := f.Float64("doubted", 0.01, "part of the urgent texts that may be doubted, in cross-validation")
	critical := f.Float64("critical", 0.1, "part of the accounts that are not critical which may be taken for it, in cross-validation")
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
	var scores [2][]float64
	for h, right := range []func(*example) bool{(*example).urgent, (*example).critical} {
		scores[h] = validate(texts, right)
		m := fit(texts, right)
		p.Weights[h], p.Bias[h] = m.weights, m.bias
	}
	p.Curve = curve(texts, scores[learned.Urgent], (*example).urgent)
	odds := make([]float64, len(texts))
	for i := range texts {
		odds[i] = probability(p.Curve, scores[learned.Urgent][i], &texts[i])
	}
	p.Limits = learned.Limits{
		Raise:    above(texts, odds, *raised, func(e *example) bool { return e.account && !e.urgent() && !e.found }),
		Keep:     above(texts, odds, 1-*doubted, func(e *example) bool { return e.urgent() && e.found }),
		Critical: above(texts, scores[learned.Critical], *critical, func(e *example) bool { return e.account && !e.critical() }),
	}
	urgent := func(i int) bool { return texts[i].urgent() }
	report(out, "rules", texts, urgent, func(i int) bool { return texts[i].found })
	report(out, "both", texts, urgent, func(i int) bool {
		return odds[i] >= p.Limits.Raise || texts[i].found && odds[i] >= p.Limits.Keep
	})
	report(out, "critical", texts, func(i int) bool { return texts[i].critical() },
		func(i int) bool { return scores[learned.Critical][i] > p.Limits.Critical })
	fitGroups(texts, &p)
	b, err := learned.Encode(&p)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d texts, limits %+v, curve %.2f, %d bytes of weights\n", len(texts), p.Limits, p.Curve, len(b))
	return os.WriteFile(*file, b, 0o644)
}
