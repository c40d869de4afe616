package wording_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording/wording"
)

// shown are hashes over all texts of a version with a term and without. A text
// that was shown must stay what it was: change it under a new ID.
var shown = map[string]string{
	"recording-1": "d4e29b80fdf153775ef56a0da3c8e22ecb1148f17f1f1fb505caa2e898349da2",
}

func TestATextNeverChangesUnderItsName(t *testing.T) {
	h := sha256.New()
	for _, days := range []int{0, 30} {
		for _, w := range wording.All("Keeper", days) {
			h.Write([]byte(w.ID + w.Language + w.Hash))
		}
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != shown[wording.ID] {
		t.Errorf("the texts of %s have the hash %s, not %s: give them a new ID", wording.ID, got, shown[wording.ID])
	}
}

// What must be said, in the words of each language.
func TestEachTextSaysWhatItMust(t *testing.T) {
	must := map[string][]string{
		"en": {"sound", "picture", "shared screen", "care", "encrypted", "30 days", "Saying no changes nothing about the care", "withdraw", "at any time", "stops at once", "deletion"},
		"fr": {"le son", "l’image", "écran partagé", "soins", "chiffrée", "30 jours", "Un refus ne change rien aux soins", "retirer votre consentement", "à tout moment", "s’arrête alors aussitôt", "suppression"},
		"ar": {"الصوت", "الصورة", "شاشة", "رعاية", "مشفَّر", "30 يومًا", "الرفض لا يغيّر شيئًا في الرعاية", "سحب موافقتك", "في أي وقت", "يتوقف التسجيل فورًا", "حذفه"},
	}
	all := wording.All("Clinique du Lac", 30)
	if len(all) != len(must) {
		t.Fatalf("%d texts", len(all))
	}
	for i, w := range all {
		if w.Language != wording.Languages()[i] || w.ID != wording.ID || w.Hash != consult.HashWording(w.Text) {
			t.Errorf("%s: %s %s", w.Language, w.ID, w.Hash)
		}
		if n := strings.Count(w.Text, "Clinique du Lac"); n != 2 {
			t.Errorf("%s names the keeper %d times", w.Language, n)
		}
		for _, part := range must[w.Language] {
			if !strings.Contains(w.Text, part) {
				t.Errorf("%s does not say %q", w.Language, part)
			}
		}
		if strings.ContainsAny(w.Text, "{}\r\x00") || !utf8.ValidString(w.Text) {
			t.Errorf("%s: %q", w.Language, w.Text)
		}
	}
	for _, w := range wording.All("x", 0) {
		if strings.ContainsAny(w.Text, "0123456789{}") {
			t.Errorf("%s without a term: %s", w.Language, w.Text)
		}
	}
}

func TestDays(t *testing.T) {
	for days, want := range map[int][3]string{
		1:    {"for 1 day,", "pendant 1 jour,", "لمدة يوم واحد،"},
		2:    {"for 2 days,", "pendant 2 jours,", "لمدة يومين،"},
		3:    {"for 3 days,", "pendant 3 jours,", "لمدة 3 أيام،"},
		10:   {"for 10 days,", "pendant 10 jours,", "لمدة 10 أيام،"},
		11:   {"for 11 days,", "pendant 11 jours,", "لمدة 11 يومًا،"},
		100:  {"for 100 days,", "pendant 100 jours,", "لمدة 100 يوم،"},
		365:  {"for 365 days,", "pendant 365 jours,", "لمدة 365 يومًا،"},
		1805: {"for 1805 days,", "pendant 1805 jours,", "لمدة 1805 أيام،"},
	} {
		for i, w := range wording.All("x", days) {
			if !strings.Contains(w.Text, want[i]) {
				t.Errorf("%d days in %s: %s", days, w.Language, w.Text)
			}
		}
	}
}

func TestKeeperIn(t *testing.T) {
	for _, w := range wording.All("Clinique  du\nLac", 0) {
		if got := wording.KeeperIn(w.Text); got != "Clinique du Lac" {
			t.Errorf("%s: %q", w.Language, got)
		}
	}
	if wording.KeeperIn("") != "" || wording.KeeperIn("a \u2068b") != "" {
		t.Error("a keeper in no text of ours")
	}
}

func TestFor(t *testing.T) {
	for tag, want := range map[string]string{
		"fr": "fr", "fr-CA": "fr", "FR_ca": "fr", "ar-MA": "ar", "en-GB": "en", "de": "en", "": "en", "arx": "en", "\xff": "en",
	} {
		if got := wording.For(tag, "x", 1); got.Language != want {
			t.Errorf("%q: %s", tag, got.Language)
		}
	}
}

// Whatever the account calls its keeper, the text around it stays what it is.
func FuzzKeeper(f *testing.F) {
	for _, s := range []string{"Clinic", "مستشفى", "a\nHow long: for ever", "\u202eevil\u2066", "{term}{after}{days}{keeper}", "\xff\x00", "\u2029", ""} {
		f.Add(s, 30)
	}
	f.Fuzz(func(t *testing.T, keeper string, days int) {
		for _, w := range wording.All(keeper, days) {
			plain := wording.For(w.Language, "", days)
			if !utf8.ValidString(w.Text) || strings.ContainsRune(w.Text, 0) || w.Hash != consult.HashWording(w.Text) {
				t.Fatalf("%q", w.Text)
			}
			if strings.Count(w.Text, "\n") != strings.Count(plain.Text, "\n") {
				t.Fatalf("the keeper %q makes lines of its own", keeper)
			}
			var without strings.Builder
			for rest := w.Text; ; {
				before, after, ok := strings.Cut(rest, "\u2068")
				without.WriteString(before)
				if !ok {
					break
				}
				without.WriteString("\u2068\u2069")
				_, rest, _ = strings.Cut(after, "\u2069")
			}
			if without.String() != plain.Text {
				t.Fatalf("the keeper %q changes the text around it:\n%s", keeper, w.Text)
			}
		}
	})
}
