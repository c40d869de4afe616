// Command eval measures the chat: how often search finds the right topic on
// questions that were written before the topics, how often it owns up to not
// knowing, and how urgent it finds vignettes and dialogues, composed with the
// emergency screen as the API composes them. It writes docs/clinical/chat.md. Of the
// held-out questions it shows counts only.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/chatmed/chatmed/internal/clinical/chat"
	"github.com/chatmed/chatmed/internal/clinical/emergency"
)

const folder = "internal/clinical/chat/testdata"

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "eval:", err)
		os.Exit(1) //nolint:forbidigo // a program of its own
	}
}

func run(args []string, out io.Writer) error {
	f := flag.NewFlagSet("eval", flag.ContinueOnError)
	misses := f.Bool("misses", false, "print the development questions whose topic is not the first that is found")
	write := f.String("write", "docs/clinical/chat.md", "the document to write; empty for none")
	vignettes := f.String("vignettes", "../shared/data/vignettes/primary-care-200.jsonl", "the vignettes")
	if err := f.Parse(args); err != nil {
		return err
	}
	engine, err := chat.New()
	if err != nil {
		return err
	}
	screen, err := emergency.New()
	if err != nil {
		return err
	}
	w := &world{engine: engine, screen: screen}
	r := report{topics: len(engine.Base().IDs())}
	for _, l := range languages {
		dev, err := readQuestions(filepath.Join(folder, "questions/dev", l+".yaml"))
		if err != nil {
			return err
		}
		held, err := readQuestions(filepath.Join(folder, "questions/heldout", l+".yaml"))
		if err != nil {
			return err
		}
		show := io.Discard
		if *misses {
			show = out
		}
		r.dev = append(r.dev, w.find(l, dev, show))
		r.held = append(r.held, w.find(l, held, io.Discard))
	}
	if r.strange, err = w.strangers(filepath.Join(folder, "strange.yaml"), *misses, out); err != nil {
		return err
	}
	if r.dialogues, err = w.dialogues(filepath.Join(folder, "dialogues.yaml"), *misses, out); err != nil {
		return err
	}
	if r.vignettes, r.note, err = w.vignettes(*vignettes, "internal/clinical/emergency/testdata/vignettes/labels.yaml", *misses, out); err != nil {
		return err
	}
	r.speed = w.speed()
	text := r.document()
	fmt.Fprint(out, text)
	if *write == "" {
		return nil
	}
	return os.WriteFile(*write, []byte(text), 0o644)
}
