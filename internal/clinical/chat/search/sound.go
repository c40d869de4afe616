package search

import (
	"strings"
	"unicode/utf8"
)

// A word that is in no text, and no slip away from one, may still be a form of one
// (Arabic), or be written as it sounds. Its skeleton is what such words share.

var sounds = strings.NewReplacer("ph", "f", "gh", "g", "kn", "n", "pn", "n", "ps", "s", "rh", "r", "sch", "s", "sc", "s", "ck", "k", "qu", "k", "ce", "se", "ci", "si", "cy", "si",
	"c", "k", "q", "k", "x", "ks", "z", "s", "dg", "j", "th", "t", "ch", "k", "sh", "s", "w", "", "h", "")

// skeleton is how a word sounds, without its vowels; "" for one too short to tell.
func skeleton(language, w string) string {
	n := utf8.RuneCountInString(w)
	if language == "ar" {
		if n < 4 {
			return ""
		}
		s := strings.NewReplacer("ا", "", "و", "", "ي", "", "ه", "", "ض", "ظ", "ذ", "ظ", "ث", "ت", "ق", "ك").Replace(stemArabic(w))
		if utf8.RuneCountInString(s) < 3 {
			return ""
		}
		return s
	}
	if n < 6 {
		return ""
	}
	s := sounds.Replace(w)
	var b []byte
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch c {
		case 'a', 'e', 'i', 'o', 'u', 'y':
			if i > 0 {
				continue
			}
			c = 'a'
		}
		if len(b) > 0 && b[len(b)-1] == c {
			continue
		}
		b = append(b, c)
	}
	for len(b) > 3 && (b[len(b)-1] == 's' || language == "fr" && b[len(b)-1] == 't') {
		b = b[:len(b)-1]
	}
	if len(b) < 3 {
		return ""
	}
	return string(b)
}

// farthest is how different words of one skeleton may be.
const farthest = 3

// sounding finds the vocabulary's word that sounds like one.
func (ix *Index) sounding(w string) (string, bool) {
	key := skeleton(ix.language, w)
	if key == "" {
		return "", false
	}
	best, found := farthest+1, ""
	for _, c := range ix.alike[key] {
		d := distance(w, c, farthest)
		if d > farthest || 2*d > utf8.RuneCountInString(w) {
			continue
		}
		if d < best || d == best && ix.spell.words[c] > ix.spell.words[found] {
			best, found = d, c
		}
	}
	return found, found != ""
}

// scanned bounds how many words of a question are held against every name.
const scanned = 4

// almost finds the word of a name that is two slips away.
func (ix *Index) almost(w string) (string, bool) {
	n := utf8.RuneCountInString(w)
	if n < twice {
		return "", false
	}
	best, found := 3, ""
	for _, c := range ix.nameWords {
		if d := len(c) - len(w); d > 4 || d < -4 {
			continue
		}
		if d := distance(w, c, 2); d < best && utf8.RuneCountInString(c) >= twice-1 {
			best, found = d, c
		}
	}
	return found, found != ""
}

// form finds the vocabulary's term that an Arabic word is a form of, with more
// taken off than a stem has.
func (ix *Index) form(w string) (int32, bool) {
	for _, p := range []string{"", "و", "ب", "ل", "ي", "ت", "ن", "ا", "م", "ال", "بي", "بت", "بال", "وال", "لل", "كي", "كت", "حي", "ست", "سي", "مت", "من"} {
		rest, ok := strings.CutPrefix(w, p)
		if !ok || utf8.RuneCountInString(rest) < 3 {
			continue
		}
		for _, e := range []string{"", "ه", "ي", "ك", "ت", "ا", "ني", "ها", "ات", "ين", "ون", "ان", "يه", "تي", "نا", "هم", "وا", "لي", "ش"} {
			stem, ok := strings.CutSuffix(rest, e)
			if !ok || utf8.RuneCountInString(stem) < 3 {
				continue
			}
			if t, ok := ix.terms[stem]; ok {
				return t, true
			}
		}
	}
	return 0, false
}
