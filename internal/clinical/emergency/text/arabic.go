package text

// Clitics are the short words that Arabic writes onto the front of a word
// (and, the, with, for, like, then, will) and the endings that say whose.
var (
	clitics = []string{"وبال", "وعال", "بهال", "وال", "بال", "فال", "كال", "عال", "هال", "مال", "لل", "ال", "وب", "ول", "ها", "و", "ف", "ب", "ل", "ك", "ع", "ه", "م"}
	persons = []string{"كيت", "كين", "ماي", "بيت", "تيت", "بن", "كن", "كت", "كي", "هي", "هت", "سي", "ست", "حي", "حت", "رح", "بت", "بي", "با", "تا", "ي", "ت", "ن", "ا", "ب", "س", "م"}
	endings = []string{"هاش", "نيش", "تهم", "تها", "تنا", "تني", "وني", "وها", "كم", "هم", "ها", "نا", "ني", "وا", "ين", "ون", "ات", "ان", "ته", "تي", "تك", "وه", "ي", "ه", "ك", "و", "ت", "ا", "ش", "ن"}
)

const stemBytes = 6 // three letters: a shorter rest says nothing

// Stems calls f with the forms that a folded Arabic word may be a form of,
// the word itself first, until f says stop. A form with verb true was reached by
// taking a verb's person away too.
func Stems(w string, f func(stem string, verb bool) (stop bool)) {
	if bases(w, false, f) {
		return
	}
	for _, c := range clitics {
		if cut(w, c) && bases(w[len(c):], false, f) {
			return
		}
	}
	rest := w
	if cut(rest, "و") || cut(rest, "ف") {
		if persons1(rest[2:], f) {
			return
		}
	}
	persons1(rest, f)
}

func persons1(w string, f func(string, bool) bool) bool {
	for _, p := range persons {
		if cut(w, p) && bases(w[len(p):], true, f) {
			return true
		}
	}
	return false
}

func bases(w string, verb bool, f func(string, bool) bool) bool {
	if f(w, verb) {
		return true
	}
	for _, e := range endings {
		if len(w)-len(e) < stemBytes || w[len(w)-len(e):] != e {
			continue
		}
		stem := w[:len(w)-len(e)]
		if f(stem, verb) {
			return true
		}
		if e[:2] == "ت" && e != "ت" { // the ة of a noun opens before an ending
			if f(stem+"ه", verb) {
				return true
			}
		}
	}
	return false
}

// cut: prefix p can come off w.
func cut(w, p string) bool {
	return len(w)-len(p) >= stemBytes && w[:len(p)] == p
}
