package text

// Word is what a word says of a number.
type Word struct {
	Value float64
	Kind  Kind
}

// Kind tells how a number word joins with its neighbours.
type Kind uint8

// Small numbers add to tens; a multiplier takes what stands before it.
const (
	None Kind = iota
	Unit
	Ten
	Times
)

var words = func() map[string]Word {
	m := map[string]Word{}
	list := func(kind Kind, from, step float64, names ...string) {
		for i, n := range names {
			m[n] = Word{from + float64(i)*step, kind}
		}
	}
	list(Unit, 1, 1, "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
		"twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
	list(Ten, 20, 10, "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
	list(Unit, 1, 1, "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze",
		"douze", "treize", "quatorze", "quinze", "seize")
	list(Ten, 20, 10, "vingt", "trente", "quarante", "cinquante", "soixante", "septante", "huitante", "nonante") //nolint:misspell // French
	list(Unit, 1, 1, "واحد", "اثنين", "ثلاثه", "اربعه", "خمسه", "سته", "سبعه", "ثمانيه", "تسعه", "عشره")
	list(Unit, 1, 1, "واحده", "اثنان", "ثلاث", "اربع", "خمس", "ست", "سبع", "ثماني", "تسع", "عشر")
	list(Ten, 20, 10, "عشرين", "ثلاثين", "اربعين", "خمسين", "ستين", "سبعين", "ثمانين", "تسعين")
	list(Ten, 20, 10, "عشرون", "ثلاثون", "اربعون", "خمسون", "ستون", "سبعون", "ثمانون", "تسعون")
	for n, v := range map[string]float64{
		"couple": 2, "tow": 2, "une": 1, "zero": 0, "نص": 0.5, "half": 0.5, "demi": 0.5, "demie": 0.5,
		"تنين": 2, "جوج": 2, "زوج": 2, "تلاته": 3, "تلات": 3, "ثلاثة": 3, "اربعة": 4, "تمنيه": 8, "تمن": 8, "تمانيه": 8,
		"تلت": 3, "dozen": 12, "douzaine": 12, "dizaine": 10, "vingtaine": 20, "trentaine": 30, "عشرات": 20,
	} {
		m[n] = Word{v, Unit}
	}
	for n, v := range map[string]float64{"تلاتين": 30, "تمانين": 80, "fourty": 40, "vingts": 20} { //nolint:misspell // as people write it
		m[n] = Word{v, Ten}
	}
	for n, v := range map[string]float64{"hundred": 100, "cent": 100, "cents": 100, "مايه": 100, "ميه": 100, "مئه": 100, "ميت": 100, "مايتين": 200, "thousand": 1000, "mille": 1000, "الف": 1000} {
		m[n] = Word{v, Times}
	}
	return m
}()

func word(form string) (Word, bool) {
	w, ok := words[form]
	if !ok && len(form) > 4 && form[:2] == "و" { // and twenty
		w, ok = words[form[2:]]
	}
	return w, ok
}

// NumberAt reads the number that begins at token i, in digits or in words, and
// says how many tokens it takes; 0 when none begins there.
func NumberAt(tokens []Token, i int) (value float64, n int) {
	if tokens[i].Numeric {
		value, n = tokens[i].Number, 1
		if i+1 < len(tokens) { // 20 thousand
			if w, ok := words[tokens[i+1].Form]; ok && w.Kind == Times {
				return value * w.Value, 2
			}
		}
		return value, n
	}
	w, ok := word(tokens[i].Form)
	if !ok {
		return 0, 0
	}
	value, n = w.Value, 1
	last := w.Kind
	for j := i + 1; j < len(tokens) && n < 8; j++ {
		form := tokens[j].Form
		if form == "and" || form == "et" {
			if j+1 >= len(tokens) || (last != Ten && last != Times) {
				break
			}
			next, ok := word(tokens[j+1].Form)
			if !ok || next.Kind != Unit || next.Value < 1 {
				break
			}
			continue
		}
		w, ok := word(form)
		joins := false
		switch {
		case !ok:
		case w.Kind == Times:
			value, joins = max(value, 1)*w.Value, true
		case value == 4 && w.Value == 20: // quatre-vingt
			value, joins = 80, true
		case last == Ten && w.Kind == Unit && w.Value >= 1 && w.Value < 20, last == Times && w.Kind != Times:
			value, joins = value+w.Value, true
		case last == Unit && w.Kind == Ten && len(form) > 2 && form[:2] == "و", value == 10 && w.Kind == Unit && w.Value >= 7 && w.Value < 10:
			value, joins = value+w.Value, true // ستة وعشرين, dix-sept
		}
		if !joins {
			break
		}
		last = w.Kind
		n = j - i + 1
	}
	return value, n
}
