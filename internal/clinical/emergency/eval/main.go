// Command eval measures the emergency screen on the phrase corpus and on the
// labelled vignettes, and writes docs/clinical/emergency.md. Of the held-out
// phrases it shows counts only.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/chatmed/chatmed/internal/clinical/emergency"
)

const folder = "internal/clinical/emergency/testdata"

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "eval:", err)
		os.Exit(1) //nolint:forbidigo // a program of its own
	}
}

func run(args []string, out io.Writer) error {
	f := flag.NewFlagSet("eval", flag.ContinueOnError)
	misses := f.String("misses", "", "print the development phrases that are missed, of this language and group (fr/eye), or all")
	near := f.Bool("near", false, "with -misses: the near misses instead")
	set := f.String("set", "phrases", "with -misses: phrases, accounts or ordinary")
	one := f.String("text", "", "screen one text and say why")
	write := f.String("write", "docs/clinical/emergency.md", "the document to write; empty for none")
	fit := f.Bool("fit", false, "print the calibration that fits the development phrases")
	vignettes := f.String("vignettes", "../shared/data/vignettes/primary-care-200.jsonl", "the vignettes")
	if err := f.Parse(args); err != nil {
		return err
	}
	engine, err := emergency.New()
	if err != nil {
		return err
	}
	if *one != "" {
		fmt.Fprintln(out, engine.Trace(emergency.Input{Text: *one}))
		return nil
	}
	dev, err := read(engine, filepath.Join(folder, "phrases/dev"))
	if err != nil {
		return err
	}
	if *misses != "" {
		if *set != "phrases" {
			if dev, err = readTexts(engine, filepath.Join(folder, *set, "dev")); err != nil {
				return err
			}
		}
		printMisses(out, dev, *misses, *near)
		return nil
	}
	if *fit {
		fmt.Fprint(out, report{dev: dev}.calibration())
		return nil
	}
	held, err := read(engine, filepath.Join(folder, "phrases/heldout"))
	if err != nil {
		return err
	}
	accounts, err := readTexts(engine, filepath.Join(folder, "accounts/heldout"))
	if err != nil {
		return err
	}
	ordinary, err := readTexts(engine, filepath.Join(folder, "ordinary/heldout"))
	if err != nil {
		return err
	}
	v, note, err := readVignettes(engine, *vignettes, filepath.Join(folder, "vignettes/labels.yaml"))
	if err != nil {
		return err
	}
	r := report{engine: engine, dev: dev, held: held, accounts: accounts, ordinary: ordinary, vignettes: v, note: note}
	fmt.Fprint(out, r.summary())
	if *write == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(*write), 0o755); err != nil {
		return err
	}
	return os.WriteFile(*write, []byte(r.document()), 0o644)
}

func printMisses(out io.Writer, dev []*sample, which string, near bool) {
	for _, s := range dev {
		if which != "all" && !strings.HasPrefix(s.language+"/"+s.group+"/"+s.condition, which) {
			continue
		}
		if s.urgent == near || s.reached() && (!near || s.exact()) {
			continue
		}
		fmt.Fprintf(out, "%s/%s %s want %s%s got %s %s\n   %s\n", s.language, s.group, s.condition, s.Level, s.AtMost, s.result.Urgency, s.result.Condition, s.Text)
		if near {
			for _, f := range s.result.RedFlags {
				fmt.Fprintf(out, "      %s %q\n", f.Rule, f.Words)
			}
		}
	}
}
