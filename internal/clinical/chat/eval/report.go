package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/chatmed/chatmed/internal/clinical/chat"
)

type report struct {
	topics               int
	dev, held            []found
	strange              strangers
	dialogues, vignettes judged
	note                 string
	speed                speed
}

var levels = []chat.Urgency{chat.Critical, chat.High, chat.Moderate, chat.Low}

func (r *report) document() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# The medical chat, measured\n\nWritten by `make eval` (`go run ./internal/clinical/chat/eval`). The default engine, without any model, with the\nemergency screen beside it as in the API.\n\n")
	fmt.Fprintf(&b, "## Finding the topic\n\n%d topics, each in English, French and Arabic. The questions were written before the topics. The\nsearch was adjusted on the development questions; the held-out ones are only counted.\n\n", r.topics)
	b.WriteString("| Questions | Language | Asked | Right topic first | Among the first three | Answered | Read as an emergency |\n|---|---|---|---|---|---|---|\n")
	for _, set := range []struct {
		name string
		of   []found
	}{{"development", r.dev}, {"held-out", r.held}} {
		for _, f := range set.of {
			if f.asked == 0 {
				continue
			}
			fmt.Fprintf(&b, "| %s | %s | %d | %s | %s | %s | %d |\n", set.name, f.language, f.asked, part(f.first, f.asked), part(f.three, f.asked), part(f.sure, f.asked), f.red)
		}
	}
	fmt.Fprintf(&b, "\nOf %d questions that no topic answers, %s were not answered from one.\n\n", r.strange.asked, part(r.strange.unknown, r.strange.asked))
	b.WriteString("## How urgent\n\nLabels are by guideline, from what the person reports. Rows are the label, columns what the chat says at the end.\n\n")
	b.WriteString("Dialogues of several messages, written with the rules (`testdata/dialogues.yaml`):\n\n" + r.dialogues.table())
	b.WriteString("\nThe 200 vignettes of the development set, told in one message, with age and sex:\n\n")
	if r.note != "" {
		b.WriteString(r.note + "\n")
	} else {
		b.WriteString(r.vignettes.table())
	}
	fmt.Fprintf(&b, "\n## How fast\n\nA message with screening, on a shared machine: median %s, 99th percentile %s.\n", r.speed.p50.Round(10*time.Microsecond), r.speed.p99.Round(10*time.Microsecond))
	b.WriteString(limits)
	return b.String()
}

const limits = `
## What it cannot do

It recognises complaints and signs by lists of words; what is on no list it does not understand, says so, and asks. It
does not examine, diagnose or prescribe. It has been measured on written texts only, not on patients. Its
levels below "high" come from general guidance and are cautious. The topics are general information in
three languages; no doctor has signed them off. The emergency screen reads some general questions, above all short ones
without a verb, as complaints (last column above): they get the emergency number first and the answer after it.
`

func part(n, of int) string {
	if of == 0 {
		return "–"
	}
	return fmt.Sprintf("%d (%.1f%%)", n, 100*float64(n)/float64(of))
}

func (j judged) table() string {
	var b strings.Builder
	b.WriteString("| label | critical | high | moderate | low | not below the label |\n|---|---|---|---|---|---|\n")
	for _, want := range levels {
		n, kept := 0, 0
		fmt.Fprintf(&b, "| %s |", want)
		for _, got := range levels {
			c := j[want][got]
			n += c
			if got.Rank() >= want.Rank() {
				kept += c
			}
			fmt.Fprintf(&b, " %d |", c)
		}
		fmt.Fprintf(&b, " %s |\n", part(kept, n))
	}
	return b.String()
}
