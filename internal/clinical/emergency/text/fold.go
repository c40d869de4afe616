// Package text turns what people type into tokens that a vocabulary can be
// matched against: case, accents, Arabic letter variants, digits of other
// scripts, elisions, units glued to numbers and stretched letters are folded.
// Every token knows the bytes it came from.
package text

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// special are foldings that Unicode's decompositions don't give. An empty
// string drops the letter.
var special = map[rune]string{
	'œ': "oe", 'Œ': "oe", 'æ': "ae", 'Æ': "ae", 'ß': "ss", 'ø': "o", 'Ø': "o", 'đ': "d", 'ł': "l", 'ı': "i",
	'ى': "ي", 'ة': "ه", 'ی': "ي", 'ې': "ي", 'ک': "ك", 'ڪ': "ك", 'گ': "ق", 'ڨ': "ق", 'ڭ': "ق", 'پ': "ب",
	'چ': "تش", 'ڤ': "ف", 'ۃ': "ه", 'ہ': "ه", 'ھ': "ه", 'ە': "ه", 'ٱ': "ا", 'ـ': "",
	'\u200b': "", '\u200c': "", '\u200d': "", '\u200e': "", '\u200f': "", '\u2060': "", '\ufeff': "", '\u00ad': "",
	'\u061c': "", '\u202a': "", '\u202b': "", '\u202c': "", '\u2066': "", '\u2067': "", '\u2068': "", '\u2069': "",
	'؀': "", 'º': "°",
}

// folded holds the foldings of the blocks that people here write in, so that
// the common letters cost one look-up.
var folded = func() (t [0x700]string) {
	for r := rune(0x80); r < 0x700; r++ {
		t[r] = foldSlow(r)
	}
	return t
}()

// Fold is the folded form of one rune that is no ASCII: lower case, without
// marks, compatibility forms resolved. Working rune by rune keeps every offset
// exact, and is the same as normalising first because all marks go.
func Fold(r rune) string {
	if r < 0x700 && r >= 0x80 {
		return folded[r]
	}
	return foldSlow(r)
}

func foldSlow(r rune) string {
	if s, ok := special[r]; ok {
		return s
	}
	if unicode.Is(unicode.Mn, r) {
		return ""
	}
	if d := digit(r); d >= 0 {
		return string(rune('0' + d))
	}
	var b [utf8.UTFMax]byte
	n := utf8.EncodeRune(b[:], r)
	parts := norm.NFKD.Properties(b[:n]).Decomposition()
	if parts == nil {
		return string(unicode.ToLower(r))
	}
	var out []byte
	for len(parts) > 0 {
		c, size := utf8.DecodeRune(parts)
		parts = parts[size:]
		if s, ok := special[c]; ok {
			out = append(out, s...)
		} else if !unicode.Is(unicode.Mn, c) {
			out = utf8.AppendRune(out, unicode.ToLower(c))
		}
	}
	return string(out)
}

// digit is the value of a decimal digit of any script, or -1. Unicode lays the
// ten digits of a script side by side, from a code point that ends in 0 or 6.
func digit(r rune) int {
	switch {
	case r >= 0x660 && r <= 0x669:
		return int(r - 0x660)
	case r >= 0x6f0 && r <= 0x6f9:
		return int(r - 0x6f0)
	case r >= 0x966 && r <= 0x96f:
		return int(r - 0x966)
	}
	return -1
}

// apostrophe tells the many marks that people type for one.
func apostrophe(r rune) bool {
	switch r {
	case '\'', '’', '‘', 'ʼ', '`', '´', '＇', 'ʹ', '′':
		return true
	}
	return false
}

// ends tells marks that end a sentence.
func ends(r rune) bool {
	switch r {
	case '.', '!', '?', ';', '\n', '\r', '؟', '؛', '۔', '。', '！', '？', '…', '\u2028', '\u2029':
		return true
	}
	return false
}

// pauses tells the signs that part a sentence, but don't end it.
func pauses(r rune) bool {
	switch r {
	case ',', ':', '(', ')', '[', ']', '/', '–', '—', '•', '·', '،', '|', '«', '»', '"', '“', '”':
		return true
	}
	return false
}
