package search

import (
	"strings"
	"unicode/utf8"
)

// Stem takes the endings off a folded word, so that the forms of one word meet.
// It is light on purpose: what it leaves need not be a word, only the same.
func Stem(language, w string) string {
	switch language {
	case "fr":
		return stemFrench(w)
	case "ar":
		return stemArabic(w)
	}
	return stemEnglish(w)
}

var british = strings.NewReplacer("aemi", "emi", "haem", "hem", "oed", "ed", "rrhoea", "rrhea", "oeso", "eso", "paed", "ped", "anaes", "anes", "faec", "fec", "gynae", "gyne", "coeli", "celi", "foet", "fet", "leuk", "leuc")

func stemEnglish(w string) string {
	if len(w) <= 3 || w[0] >= '0' && w[0] <= '9' {
		return w
	}
	w = british.Replace(w)
	switch {
	case strings.HasSuffix(w, "ies") && len(w) > 4:
		w = w[:len(w)-3] + "y"
	case strings.HasSuffix(w, "sses"), strings.HasSuffix(w, "xes"), strings.HasSuffix(w, "ches"), strings.HasSuffix(w, "shes"), strings.HasSuffix(w, "oes"):
		w = w[:len(w)-2]
	case strings.HasSuffix(w, "s") && !strings.HasSuffix(w, "ss") && !strings.HasSuffix(w, "us") && !strings.HasSuffix(w, "is"):
		w = w[:len(w)-1]
	}
	for _, e := range []string{"ational", "ation", "ness", "fully", "ful", "ably", "able", "ing", "edly", "ly", "ed", "ion", "ive", "ate", "ic", "al", "er"} {
		if strings.HasSuffix(w, e) && len(w)-len(e) >= 4 {
			w = w[:len(w)-len(e)]
			if n := len(w); w[n-1] == w[n-2] && !strings.ContainsRune("aeiouls", rune(w[n-1])) {
				w = w[:n-1] // stopped, stop
			}
			break
		}
	}
	if len(w) > 3 {
		if strings.HasSuffix(w, "e") {
			w = w[:len(w)-1]
		} else if strings.HasSuffix(w, "y") {
			w = w[:len(w)-1] + "i"
		}
	}
	return w
}

func stemFrench(w string) string {
	if len(w) <= 3 || w[0] >= '0' && w[0] <= '9' {
		return w
	}
	if strings.HasSuffix(w, "eaux") {
		w = w[:len(w)-1]
	} else if strings.HasSuffix(w, "aux") && len(w) > 4 {
		w = w[:len(w)-2] + "l"
	} else if (strings.HasSuffix(w, "s") || strings.HasSuffix(w, "x")) && !strings.HasSuffix(w, "ss") {
		w = w[:len(w)-1]
	}
	for _, e := range []string{"issement", "ement", "ations", "ation", "atrice", "ateur", "euse", "eur", "eux", "ique", "ite", "ion", "ees", "ee", "ent", "ant", "ante", "er", "ir", "if", "ive", "eu", "e"} {
		if strings.HasSuffix(w, e) && len(w)-len(e) >= 4 {
			w = w[:len(w)-len(e)]
			break
		}
	}
	if n := len(w); n > 3 {
		if strings.HasSuffix(w, "e") || strings.HasSuffix(w, "i") {
			w = w[:n-1]
		}
		if n = len(w); n > 3 && w[n-1] == w[n-2] {
			w = w[:n-1]
		}
	}
	return w
}

var (
	before = []string{"بيت", "بي", "بت", "وبال", "وال", "بال", "فال", "كال", "عال", "هال", "ولل", "لل", "ال", "و", "ف", "ب", "ل"}
	behind = []string{"تهم", "تها", "اتي", "هم", "ها", "نا", "كم", "ات", "ان", "ون", "ين", "يه", "ته", "تي", "تك", "ني", "ه", "ي", "ك", "ا"}
)

func stemArabic(w string) string {
	n := utf8.RuneCountInString(w)
	for i, p := range before {
		least := 3
		if i >= len(before)-4 { // a single letter is often the word's own
			least = 4
		}
		if rest, ok := strings.CutPrefix(w, p); ok && n-utf8.RuneCountInString(p) >= least {
			w, n = rest, n-utf8.RuneCountInString(p)
			break
		}
	}
	for _, e := range behind {
		if rest, ok := strings.CutSuffix(w, e); ok && n-utf8.RuneCountInString(e) >= 3 {
			return rest
		}
	}
	return w
}
