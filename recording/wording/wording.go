// Package wording is what people are told before they decide whether they are
// recorded, exactly: one text per language, in which only the keeper and the
// term vary. A text that was shown is named by its ID, its language and the hash
// over all of it, so what changes here gets a new ID.
package wording

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/chatmed/chatmed/internal/consult"
)

// ID names the texts below in their present version.
const ID = "recording-1"

// Fallback is the language of whoever speaks none of Languages.
const Fallback = "en"

// Languages are those that there are texts in, the fallback first.
func Languages() []string { return []string{Fallback, "fr", "ar"} }

// All returns the text in every language, in the order of Languages. keeper is
// who keeps the recording, days for how long; 0 or less: until it is deleted.
func All(keeper string, days int) []consult.Wording {
	keeper = isolated(keeper)
	out := make([]consult.Wording, 0, 3)
	for _, language := range Languages() {
		text := texts()[language].with(keeper, days)
		out = append(out, consult.Wording{ID: ID, Language: language, Text: text, Hash: consult.HashWording(text)})
	}
	return out
}

// For returns the text in the language of a BCP 47 tag, by its primary subtag,
// or in the fallback.
func For(language, keeper string, days int) consult.Wording {
	primary, _, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(language, "_", "-")), "-")
	all := All(keeper, days)
	for _, w := range all {
		if w.Language == primary {
			return w
		}
	}
	return all[0]
}

// isolated is a name that cannot disturb the text around it: on one line,
// without characters that steer, and, between U+2068 and U+2069, in its own
// direction (Unicode Standard Annex 9, section 2.4).
func isolated(name string) string {
	name = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
			return ' '
		}
		if unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, "\uFFFD"))), " ")
	return "\u2068" + name + "\u2069"
}

// KeeperIn is the keeper that a text of ours names, "" in any other.
func KeeperIn(text string) string {
	_, after, _ := strings.Cut(text, "\u2068")
	name, _, ok := strings.Cut(after, "\u2069")
	if !ok {
		return ""
	}
	return name
}

// text is one language's.
type text struct {
	body string // with {keeper}, {term} and {after}
	// bounded and unbounded are the term, and afterBounded and afterUnbounded
	// what becomes of what was recorded before a withdrawal.
	bounded, unbounded           string
	afterBounded, afterUnbounded string
	days                         func(int) string
}

func (t text) with(keeper string, days int) string {
	term, after := t.unbounded, t.afterUnbounded
	if days > 0 {
		term, after = strings.ReplaceAll(t.bounded, "{days}", t.days(days)), t.afterBounded
	}
	return strings.NewReplacer("{term}", term, "{after}", after, "{keeper}", keeper).Replace(t.body)
}

func englishDays(n int) string {
	if n == 1 {
		return "1 day"
	}
	return strconv.Itoa(n) + " days"
}

func frenchDays(n int) string {
	if n == 1 {
		return "1 jour"
	}
	return strconv.Itoa(n) + " jours"
}

// arabicDays follows the plural categories of the Unicode CLDR, after a
// preposition (genitive).
func arabicDays(n int) string {
	switch rest := n % 100; {
	case n == 1:
		return "يوم واحد"
	case n == 2:
		return "يومين"
	case rest >= 3 && rest <= 10:
		return strconv.Itoa(n) + " أيام"
	case rest >= 11:
		return strconv.Itoa(n) + " يومًا"
	default:
		return strconv.Itoa(n) + " يوم"
	}
}
