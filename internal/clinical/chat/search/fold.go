// Package search finds texts by what people type: words are folded and stemmed
// by language, misspelt ones corrected, and fields weigh differently (BM25F).
package search

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// letters are foldings that Unicode's decompositions don't give.
var letters = map[rune]string{
	'œ': "oe", 'æ': "ae", 'ß': "ss", 'ø': "o", 'ł': "l", 'ı': "i",
	'ى': "ي", 'ة': "ه", 'ی': "ي", 'ک': "ك", 'گ': "ك", 'پ': "ب", 'چ': "تش", 'ڤ': "ف", 'ٱ': "ا", 'ـ': "", 'ؤ': "و", 'ئ': "ي", 'ء': "",
	'٠': "0", '١': "1", '٢': "2", '٣': "3", '٤': "4", '٥': "5", '٦': "6", '٧': "7", '٨': "8", '٩': "9",
}

// Fold is a text in lower case, without accents and vowel marks, its Arabic
// letter variants and digits made one.
func Fold(s string) string {
	ascii := true
	for i := 0; i < len(s) && ascii; i++ {
		ascii = s[i] < 0x80
	}
	if ascii {
		return strings.ToLower(s)
	}
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range norm.NFC.String(s) {
		r = unicode.ToLower(r)
		if t, ok := letters[r]; ok {
			b.WriteString(t)
			continue
		}
		if r < 0x80 {
			b.WriteByte(byte(r))
			continue
		}
		for _, p := range norm.NFKD.String(string(r)) {
			if unicode.Is(unicode.Mn, p) || unicode.Is(unicode.Cf, p) {
				continue
			}
			if t, ok := letters[p]; ok {
				b.WriteString(t)
			} else {
				b.WriteRune(p)
			}
		}
	}
	return b.String()
}

// Words are the folded words of a text, in order. An apostrophe joins in English
// and parts in French.
func Words(language, s string) []string {
	french := language == "fr"
	return strings.FieldsFunc(strings.Map(func(r rune) rune {
		switch r {
		case '\'', '’', '‘', 'ʼ', '`', '´':
			if french {
				return ' '
			}
			return -1
		}
		return r
	}, Fold(s)), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// Language guesses what a text is written in: by its script, then by the small
// words that only one language has.
func Language(s string) string {
	arabic, latin := 0, 0
	for _, r := range s {
		switch {
		case unicode.Is(unicode.Arabic, r):
			arabic++
		case unicode.Is(unicode.Latin, r):
			latin++
		}
	}
	if arabic > latin {
		return "ar"
	}
	fr, en := 0, 0
	for _, w := range Words("fr", s) {
		switch {
		case frenchOnly[w]:
			fr++
		case englishOnly[w]:
			en++
		}
	}
	for _, r := range s {
		if strings.ContainsRune("éèêàçùûîôœ", r) {
			fr++
		}
	}
	if fr > en {
		return "fr"
	}
	return "en"
}

var (
	frenchOnly  = set("le la les un une des du de je j ai mon ma mes est et en au aux que qui quoi quel quelle quels quelles comment pourquoi dans pour avec sans depuis suis pas ne il elle mal douleur maladie peut sont se ce cette quand faire fait vous nous c d l qu")
	englishOnly = set("the is are was my i have has and of what how why when which do does can could should with without for since been to in it this that pain you your from not")
)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}
