package emergency

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

func newTestEngine(t testing.TB) *Engine {
	t.Helper()
	e, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestDocumentedSamples(t *testing.T) {
	e := newTestEngine(t)
	r := e.ScreenByRules(Input{Text: "Severe chest pain radiating to left arm, profuse sweating"})
	if r.Urgency != Critical || r.Condition != "acute_coronary_syndrome" || r.Name != "Acute Myocardial Infarction" {
		t.Errorf("chest pain: %s %s %q", r.Urgency, r.Condition, r.Name)
	}
	for i, want := range []string{"emergency number", "aspirin", "still and calm"} {
		if i >= len(r.Actions) || !strings.Contains(r.Actions[i], want) {
			t.Errorf("actions %q, want %q at %d", r.Actions, want, i)
		}
	}
	if r.Language != "en" || r.RuleVersion == "" || r.Engine != "rules" || r.Disclaimer == "" || r.Confidence < 0.5 {
		t.Errorf("%+v", r)
	}
	if len(r.RedFlags) == 0 || len(r.RedFlags[0].Words) == 0 || r.RedFlags[0].Guideline == "" {
		t.Errorf("red flags %+v", r.RedFlags)
	}
	if r := e.ScreenByRules(Input{Text: "I've had a headache for 3 days with sensitivity to light"}); r.Urgency != Moderate {
		t.Errorf("headache: %s %+v", r.Urgency, r.RedFlags)
	}
}

func TestContext(t *testing.T) {
	e := newTestEngine(t)
	age := 70.0
	for text, want := range map[string]Urgency{
		"I have no chest pain and no sweating":                                   Moderate,
		"no fever, rash or stiff neck":                                           Moderate,
		"he can't breathe":                                                       Critical,
		"my chest is crushing and my left arm hurts, but no fever":               Critical,
		"what are the symptoms of a heart attack?":                               Low,
		"quels sont les symptômes d'un infarctus ?":                              Low,
		"ما هي أعراض الجلطة القلبية؟":                                            Low,
		"je n'arrive plus à respirer":                                            Critical,
		"مش قادر اتنفس":                                                          Critical,
		"3andi wja3 f sadri w ana 3ar9an":                                        Critical,
		"HEEEELP my husband is NOT breathing":                                    Critical,
		"my face drooped on one side for ten minutes, now it is normal":          High,
		"bébé de 2 mois avec 38,5 de fièvre":                                     Critical,
		"عمره شهرين وحرارته 38.5":                                                Critical,
		"my 6 week old baby has a temp of 101 F":                                 Critical,
		"j'ai mal à la poitrine et my left arm is numb":                          Critical,
		"this job is killing me":                                                 Low,
		"I have a runny nose":                                                    Low,
		"":                                                                       Moderate,
		"asdf qwer zxcv":                                                         Moderate,
		"I don't feel right":                                                     Moderate,
		"help":                                                                   Moderate,
		"I took 30 paracetamol an hour ago but I feel fine":                      Critical,
		"can I take paracetamol with a cold":                                     Moderate,
		"I want to kill myself tonight, I have the pills ready":                  Critical,
		"oxygen saturation 84% on the oximeter":                                  Critical,
		"I had a heart attack two years ago and want advice about exercise":      Moderate,
		"chest pain and sweating, same as my heart attack two years ago, now":    Critical,
		"my father died of a heart attack at 52, I feel well, what tests exist?": Moderate,
	} {
		r := e.ScreenByRules(Input{Text: text})
		if want.AtLeast(High) && !r.Urgency.AtLeast(want) || !want.AtLeast(High) && r.Urgency.AtLeast(High) || want == Moderate && r.Urgency == Low && text != "can I take paracetamol with a cold" {
			t.Errorf("%q: %s, want %s\n%s", text, r.Urgency, want, e.Trace(Input{Text: text}))
		}
	}
	weeks := 30
	if r := e.ScreenByRules(Input{Text: "everything is blurred and I see flashing lights", Profile: Profile{PregnantWeeks: &weeks}}); r.Urgency != Critical {
		t.Errorf("pregnancy from the profile: %s", r.Urgency)
	}
	if r := e.ScreenByRules(Input{Text: "I banged my head on a shelf", Profile: Profile{AgeYears: &age, Medications: []string{"apixaban 5 mg"}}}); r.Urgency != Critical {
		t.Errorf("blood thinner from the profile: %s", r.Urgency)
	}
	if r := e.ScreenByRules(Input{Text: "he can't breathe", Language: "fr"}); r.Language != "fr" || !strings.Contains(r.Actions[0], "Appelez") {
		t.Errorf("language asked: %s %q", r.Language, r.Actions)
	}
}

// TestNothingReassuresWithoutUnderstanding: what is not understood is never low.
func TestNothingReassuresWithoutUnderstanding(t *testing.T) {
	e := newTestEngine(t)
	for _, s := range []string{"", "   ", "???", "blarg zorb", "it is doing the thing again", "!!!", "🙂", "ça va pas fort", "حالتي غريبة", "\xff\xfe", "I have a runny nose. Also my zorb flimmers blarg."} {
		r := e.ScreenByRules(Input{Text: s})
		if r.Urgency == Low || len(r.Questions) == 0 {
			t.Errorf("%q: %s, %d questions", s, r.Urgency, len(r.Questions))
		}
	}
}

var redFlags = []string{
	"I have crushing chest pain and my left arm is numb.", "He is not breathing.", "She has a seizure right now and is shaking all over.",
	"Il ne respire plus.", "مش قادر اتنفس خالص.", "I want to kill myself tonight with these pills.", "There is blood spurting from my leg and it won't stop.",
}

var plain = []string{
	"Some people work in an office.", "The appointment is on Tuesday.", "We live near the station.", "Le bureau ferme à dix heures.", "البيت قريب من المدرسة.", "Thank you very much.",
}

var seeds = []string{
	"my dad has chest pain and is sweating", "no fever at all", "what are the symptoms of stroke?", "I have had a cough for 3 days", "asdf",
	"j'ai mal au ventre depuis hier", "عندي صداع", "my baby is 6 weeks old and has 38.4", "I have a runny nose", "she said goodbye to everyone",
	"i banged my head and vomited twice", "elle a la bouche de travers depuis ce matin", "ابني بلع بطارية", "my leg is swollen and I can't breathe",
	"I took too many tablets", "il y a deux ans j'ai fait un infarctus", "",
}

// TestRedFlagNeverLowers and an unrelated sentence neither, with the second
// reading or without, before the text or after it.
func TestAddingNeverLowers(t *testing.T) {
	e := newTestEngine(t)
	for name, screen := range map[string]func(Input) Result{"rules": e.ScreenByRules, "both": e.Screen} {
		for _, s := range seeds {
			before := screen(Input{Text: s}).Urgency
			for _, add := range append(append([]string{}, redFlags...), plain...) {
				if s == "" {
					continue // it is moderate only because nothing was said
				}
				for _, text := range []string{s + ". " + add, add + " " + s, s + "\n" + add} {
					if after := screen(Input{Text: text}).Urgency; !after.AtLeast(before) {
						t.Errorf("%s: %q is %s, %q is %s", name, s, before, text, after)
					}
				}
			}
			for _, add := range redFlags {
				alone := screen(Input{Text: add}).Urgency
				for _, text := range []string{s + ". " + add, add + " " + s} {
					if got := screen(Input{Text: text}).Urgency; !got.AtLeast(alone) {
						t.Errorf("%s: %q is %s, but %q is only %s", name, add, alone, text, got)
					}
				}
			}
		}
	}
}

// TestFormNeverMatters: case, spaces, accents and trailing marks.
func TestFormNeverMatters(t *testing.T) {
	e := newTestEngine(t)
	forms := map[string]func(string) string{
		"upper": strings.ToUpper, "lower": strings.ToLower,
		"spaces":  func(s string) string { return "  " + strings.ReplaceAll(s, " ", "   ") + "\t" },
		"marks":   func(s string) string { return s + "!!!" },
		"commas":  func(s string) string { return strings.ReplaceAll(s, ",", "") },
		"nfd":     norm.NFD.String,
		"accents": unaccented,
	}
	for _, s := range append(append([]string{}, seeds...), redFlags...) {
		want := e.ScreenByRules(Input{Text: s}).Urgency
		for name, f := range forms {
			if got := e.ScreenByRules(Input{Text: f(s)}).Urgency; got != want {
				t.Errorf("%s: %q is %s, %q is %s", name, s, want, f(s), got)
			}
		}
	}
}

func unaccented(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFD.String(s))
}

func TestLongTextsAreScreenedToTheEnd(t *testing.T) {
	e := newTestEngine(t)
	filler := strings.Repeat("the appointment is on tuesday at the office near the station. ", 700)
	for _, text := range []string{filler + redFlags[0], redFlags[0] + filler, filler + redFlags[1] + " " + filler} {
		if r := e.ScreenByRules(Input{Text: text}); r.Urgency != Critical || len(r.Warnings) > 0 {
			t.Errorf("%d bytes: %s %q", len(text), r.Urgency, r.Warnings)
		}
	}
	if r := e.ScreenByRules(Input{Text: strings.Repeat(filler, 10)}); len(r.Warnings) == 0 {
		t.Error("a text that is not screened whole must say so")
	}
}

func TestConcurrent(t *testing.T) {
	e := newTestEngine(t)
	done := make(chan struct{})
	for range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			for range 50 {
				s := seeds[rand.IntN(len(seeds))] //nolint:gosec // a test
				a, b := e.Screen(Input{Text: s}), e.Screen(Input{Text: s})
				if a.Urgency != b.Urgency || a.Condition != b.Condition {
					t.Errorf("%q: %s %s, then %s %s", s, a.Urgency, a.Condition, b.Urgency, b.Condition)
				}
			}
		}()
	}
	for range 4 {
		<-done
	}
}

func FuzzScreen(f *testing.F) {
	e := newTestEngine(f)
	for _, s := range append(append([]string{"\xff", "0/0/0", "1e999", strings.Repeat("pain ", 300)}, seeds...), redFlags...) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := e.Screen(Input{Text: s})
		for _, flag := range r.RedFlags {
			for _, at := range flag.Spans {
				if at.Start < 0 || at.End > len(s) || at.Start > at.End {
					t.Fatalf("span %+v of %d bytes", at, len(s))
				}
			}
		}
		if r.Urgency == "" || r.Disclaimer == "" {
			t.Fatalf("%+v", r)
		}
	})
}

const thousand = `hello doctor i am writing because since yesterday evening my husband who is 67 and takes tablets for blood pressure and sugar has not been himself, he ate dinner as usual and then said he had a kind of pressure in the chest, not really a pain, and that his jaw was aching, he thought it was the spicy food. he took an antacid and went to bed but he did not sleep, this morning he is grey and sweating and a bit short of breath when he walks to the bathroom, he has no fever and no cough and he did not vomit. his father died of a heart attack at 60. he had a stent put in four years ago and since then he was always fine, walks the dog every day for an hour and does the garden. he says he does not want to bother anybody and that it will pass, but i am worried because his left hand feels numb since an hour and he keeps rubbing his chest. we live 20 minutes from the hospital, should i wait for the appointment on tuesday or bring him in, he is very stubborn and does not like hospitals at all thank you`

func BenchmarkScreen(b *testing.B) {
	e := newTestEngine(b)
	texts := map[string]string{"en1000": thousand, "ar1000": strings.Repeat("عندي وجع قوي في صدري ونازل على ايدي الشمال وعرقان ومش قادر اخد نفسي من امبارح بالليل وجوزي مسافر ", 10)}
	for name, text := range texts {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e.Screen(Input{Text: text})
			}
		})
		b.Run(name+"/rules", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e.ScreenByRules(Input{Text: text})
			}
		})
	}
}
