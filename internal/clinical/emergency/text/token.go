package text

import (
	"strconv"
	"unicode"
	"unicode/utf8"
)

// Token is one word, number or sign of a text.
type Token struct {
	Form       string  // folded
	Start, End int     // bytes of the text it came from
	Number     float64 // when Numeric
	Numeric    bool    // written in digits
	Break      bool    // a sentence ended before it
	Soft       bool    // a comma, a dash, a bracket or the like stands before it
	Colon      bool    // a colon stands before it: a list or an explanation follows
	Arabic     bool    // written in Arabic letters
	Long       bool    // a letter was stretched; two of it are left
}

// elisions are the French words that lose their vowel before another, with the
// word they stand for.
var elisions = map[string]string{
	"l": "le", "d": "de", "j": "je", "m": "me", "t": "te", "s": "se", "n": "ne", "c": "ce", "qu": "que",
	"lorsqu": "lorsque", "puisqu": "puisque", "jusqu": "jusque", "quelqu": "quelque", "presqu": "presque",
}

// glued are units that are written behind a number without a space. What else
// begins with one of the digits that stand for Arabic letters is a word.
var glued = map[string]bool{
	"mg": true, "g": true, "gr": true, "kg": true, "ml": true, "l": true, "cm": true, "mm": true, "mcg": true,
	"c": true, "f": true, "h": true, "hr": true, "hrs": true, "min": true, "mins": true, "mn": true, "s": true,
	"d": true, "day": true, "days": true, "week": true, "weeks": true, "wk": true, "wks": true, "w": true,
	"month": true, "months": true, "mo": true, "mos": true, "mth": true, "mths": true, "m": true,
	"year": true, "years": true, "yr": true, "yrs": true, "y": true, "yo": true, "x": true, "am": true, "pm": true,
	"th": true, "st": true, "nd": true, "rd": true, "bpm": true, "an": true, "ans": true, "mois": true, "j": true,
	"jours": true, "jour": true, "sem": true, "semaines": true, "sa": true, "heure": true, "heures": true,
	"fois": true, "cp": true, "cps": true, "comprimes": true, "tabs": true, "pills": true, "tablets": true,
	"ft": true, "feet": true, "metres": true, "meters": true, "mmol": true, "k": true, "hours": true, "minutes": true,
	"e": true, "eme": true, "er": true, "wks+": true, "lb": true, "lbs": true, "yrsold": true, "yearold": true,
}

type scanner struct {
	src     string
	buf     []byte
	tokens  []Token
	offsets []int // where each token's form begins in buf
	brk     bool
	soft    bool
	colon   bool

	from, begin   int // of the token being read: in src, in buf; begin is -1 outside one
	arabic, long  bool
	letters, nums bool
	skip          bool // the s of a possessive comes next
	last          rune
	run           int
}

// Tokens reads a text. It appends to into, so that a caller can use the memory
// again.
func Tokens(src string, into []Token) []Token {
	s := scanner{src: src, buf: make([]byte, 0, len(src)+len(src)/8+16), tokens: into[:0], begin: -1}
	if cap(into) == 0 {
		s.tokens = make([]Token, 0, len(src)/5+4)
	}
	s.offsets = make([]int, 0, cap(s.tokens))
	for i := 0; i < len(src); {
		r, size := rune(src[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(src[i:])
		}
		s.rune(r, i, size)
		i += size
	}
	s.end(len(src))
	all := string(s.buf)
	for i := range s.tokens {
		end := len(all)
		if i+1 < len(s.offsets) {
			end = s.offsets[i+1]
		}
		s.tokens[i].Form = all[s.offsets[i]:end]
	}
	return s.tokens
}

func (s *scanner) rune(r rune, i, size int) {
	switch {
	case r >= 'a' && r <= 'z':
		s.letter(r, i)
	case r >= 'A' && r <= 'Z':
		s.letter(r+'a'-'A', i)
	case r >= '0' && r <= '9':
		s.digit(byte(r), i)
	case apostrophe(r):
		s.apostrophe(i, size)
	case (r == '.' || r == ',' || r == '٫') && s.insideNumber(i+size):
		s.decimal(i + size)
	case r == '%' || r == '٪':
		s.sign("percent", i, size)
	case r == '°' || r == 'º' || r == '˚' || r == '℃' || r == '℉':
		s.sign("deg", i, size)
		if r == '℃' || r == '℉' {
			s.sign(map[rune]string{'℃': "c", '℉': "f"}[r], i, size)
		}
	case r == '/' && s.begin >= 0 && s.nums:
		s.sign("/", i, size)
	case r < utf8.RuneSelf || r == utf8.RuneError:
		s.separator(r, i)
	default:
		s.wide(r, i)
	}
}

// wide takes what is no ASCII: letters and digits of other scripts, marks that
// vanish, and signs.
func (s *scanner) wide(r rune, i int) {
	f := Fold(r)
	if f == "" {
		return
	}
	c, _ := utf8.DecodeRuneInString(f)
	switch {
	case c >= '0' && c <= '9' && len(f) == 1:
		s.digit(f[0], i)
	case unicode.IsLetter(c):
		for _, c := range f {
			s.letter(c, i)
		}
	default:
		s.separator(r, i)
	}
}

func (s *scanner) open(i int) {
	if s.begin < 0 {
		s.begin, s.from = len(s.buf), i
		s.arabic, s.long, s.letters, s.nums, s.last, s.run = false, false, false, false, 0, 0
	}
}

func (s *scanner) letter(r rune, i int) {
	if s.skip {
		s.skip = false
		return
	}
	arabic := r >= 0x600 && r < 0x700
	if s.begin >= 0 && (arabic != s.arabic && s.letters || arabic && s.nums) {
		s.end(i) // scripts don't share a word
	}
	s.open(i)
	if r == s.last {
		s.run++
		if s.run > 2 {
			s.long = true
			return
		}
	} else {
		s.last, s.run = r, 1
	}
	s.letters, s.arabic = true, arabic
	s.buf = utf8.AppendRune(s.buf, r)
}

func (s *scanner) digit(c byte, i int) {
	if s.begin >= 0 && s.arabic {
		s.end(i)
	}
	s.open(i)
	s.nums, s.last, s.run = true, 0, 0
	s.buf = append(s.buf, c)
}

// insideNumber: a number is being read, and a digit follows.
func (s *scanner) insideNumber(next int) bool {
	if s.begin < 0 || !s.nums || s.letters || next >= len(s.src) {
		return false
	}
	r, _ := utf8.DecodeRuneInString(s.src[next:])
	return r >= '0' && r <= '9' || digit(r) >= 0
}

// decimal keeps a decimal point, and drops one that only parts thousands.
func (s *scanner) decimal(next int) {
	n := 0
	for _, r := range s.src[next:] {
		if (r < '0' || r > '9') && digit(r) < 0 {
			break
		}
		n++
	}
	if n == 3 && s.src[next-1] == ',' {
		return
	}
	s.buf = append(s.buf, '.')
}

func (s *scanner) apostrophe(i, size int) {
	if s.begin < 0 {
		return
	}
	form := s.buf[s.begin:]
	whole, elided := elisions[string(form)]
	next := i + size
	if !elided {
		if !kept[string(form)] && s.possessive(next) {
			s.end(i)
			s.skip = true
		}
		return // can't, it's, aujourd'hui: one word
	}
	if next >= len(s.src) {
		return
	}
	if r, _ := utf8.DecodeRuneInString(s.src[next:]); !unicode.IsLetter(r) {
		return
	}
	s.buf = append(s.buf[:s.begin], whole...)
	s.end(i)
}

// kept are the words whose 's is a verb that phrases name.
var kept = map[string]bool{
	"he": true, "she": true, "it": true, "that": true, "what": true, "there": true, "here": true, "who": true,
	"where": true, "how": true, "let": true, "s": true, "o": true, "everyone": true, "nothing": true,
}

// possessive: an s alone follows, which is dropped.
func (s *scanner) possessive(next int) bool {
	if next >= len(s.src) || s.src[next] != 's' && s.src[next] != 'S' {
		return false
	}
	r, _ := utf8.DecodeRuneInString(s.src[next+1:])
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) || next+1 == len(s.src)
}

func (s *scanner) sign(form string, i, size int) {
	s.end(i)
	s.buf = append(s.buf, form...)
	s.push(Token{Start: i, End: i + size}, len(s.buf)-len(form))
}

func (s *scanner) separator(r rune, i int) {
	s.end(i)
	switch {
	case ends(r):
		s.brk = true
	case pauses(r):
		s.soft, s.colon = true, s.colon || r == ':'
	}
}

func (s *scanner) push(t Token, begin int) {
	t.Break, t.Soft, t.Colon = s.brk, s.brk || s.soft, s.colon
	s.brk, s.soft, s.colon = false, false, false
	s.tokens = append(s.tokens, t)
	s.offsets = append(s.offsets, begin)
}

// end closes the token being read. A number with a unit behind it becomes two.
func (s *scanner) end(i int) {
	if s.begin < 0 {
		return
	}
	begin, from := s.begin, s.from
	s.begin = -1
	form := s.buf[begin:]
	if len(form) == 0 {
		return
	}
	if !s.nums {
		s.push(Token{Start: from, End: i, Arabic: s.arabic, Long: s.long}, begin)
		return
	}
	n := 0
	for n < len(form) && (form[n] >= '0' && form[n] <= '9' || form[n] == '.') {
		n++
	}
	if n > 0 && (n == len(form) || n > 1 || glued[string(form[n:])]) {
		v, err := strconv.ParseFloat(string(form[:n]), 64)
		s.push(Token{Start: from, End: min(from+n, i), Number: v, Numeric: err == nil}, begin)
		if n < len(form) {
			s.push(Token{Start: min(from+n, i), End: i}, begin+n)
		}
		return
	}
	s.push(Token{Start: from, End: i, Long: s.long}, begin)
}
