package emergency

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/chatmed/chatmed/internal/clinical/emergency/text"
)

// A class is a set of phrases: words of one meaning, a concept made of them, or
// a cue such as a negation. Its phrases are patterns over other classes.
type classID = int32

// pattern is one phrase of a class: parts one after another with a few words
// between at most, or in any order near each other.
type pattern struct {
	parts  []classID
	gaps   []int8 // words allowed before each part but the first
	window int8   // for parts in any order: words allowed between them; 0 means in order
	key    int8   // the rarest part, looked at first
}

const (
	usualGap    = 2
	usualWindow = 5
)

// compiler turns the vocabulary files into a lexicon.
type compiler struct {
	ids      map[string]classID
	names    []string
	patterns [][]pattern
	exact    map[string][]classID
	verbs    map[string][]classID // Arabic words that take a person in front
	prefixes map[string][]classID
	uses     []int // how many patterns have the class as a part
	excepts  map[classID]classID
}

func newCompiler() *compiler {
	return &compiler{ids: map[string]classID{}, exact: map[string][]classID{}, verbs: map[string][]classID{}, prefixes: map[string][]classID{}, excepts: map[classID]classID{}}
}

// except gives a class the phrases in which its words mean something else. They
// are a class of their own, named after it.
func (c *compiler) except(owner classID, phrases []string) error {
	for _, phrase := range phrases {
		id := c.class("!" + c.names[owner])
		c.excepts[owner] = id
		if err := c.phrase(id, phrase); err != nil {
			return err
		}
	}
	return nil
}

func (c *compiler) class(name string) classID {
	if id, ok := c.ids[name]; ok {
		return id
	}
	id := classID(len(c.names)) //nolint:gosec // thousands
	c.ids[name] = id
	c.names = append(c.names, name)
	c.patterns = append(c.patterns, nil)
	c.uses = append(c.uses, 0)
	return id
}

// reader reads one phrase as it stands in a file.
type reader struct {
	c    *compiler
	rest string
}

// phrase adds a phrase to a class.
//
//	chest pain        in this order, two words between at most
//	chest <5> pain    five words between at most
//	chest & pain      in any order, five words between at most; &8 eight
//	out_of_breath     side by side
//	(sharp|very bad)  one of these
//	@pain             a phrase of another class
//	vomit*            any ending
//	~تنفس             an Arabic verb with any person in front
func (c *compiler) phrase(owner classID, phrase string) error {
	r := &reader{c: c, rest: phrase}
	if err := r.line(owner); err != nil {
		return fmt.Errorf("%q: %w", phrase, err)
	}
	if r.rest != "" {
		return fmt.Errorf("%q: unexpected %q", phrase, r.rest)
	}
	return nil
}

// line reads parts up to the end or to a | or ) and gives them to owner.
func (r *reader) line(owner classID) error {
	var p pattern
	var literal string
	gap := int8(usualGap)
	for {
		r.rest = strings.TrimLeft(r.rest, " ")
		if r.rest == "" || r.rest[0] == '|' || r.rest[0] == ')' {
			break
		}
		switch r.rest[0] {
		case '<':
			end := strings.IndexByte(r.rest, '>')
			n, err := strconv.Atoi(r.rest[1:max(end, 1)])
			if err != nil || n < 0 || n > 20 {
				return fmt.Errorf("a gap is a number from 0 to 20 in angle brackets")
			}
			gap, r.rest = int8(n), r.rest[end+1:]
			continue
		case '&':
			r.rest = r.rest[1:]
			n := 0
			for n < len(r.rest) && r.rest[n] >= '0' && r.rest[n] <= '9' {
				n++
			}
			p.window = max(p.window, usualWindow)
			if n > 0 {
				w, err := strconv.Atoi(r.rest[:n])
				if err != nil || w < 1 || w > 30 {
					return fmt.Errorf("a window is a number from 1 to 30")
				}
				p.window = int8(w)
			}
			r.rest = r.rest[n:]
			continue
		}
		if r.rest[0] == '_' { // (a|b)_c
			gap, r.rest = 0, r.rest[1:]
			continue
		}
		joined, err := r.part(&p, gap, &literal)
		if err != nil {
			return err
		}
		if gap = usualGap; joined {
			gap = 0
		}
	}
	return r.c.add(owner, p, literal)
}

// part reads one part, which may become several side by side. joined says that
// the next one must stand beside it.
func (r *reader) part(p *pattern, gap int8, literal *string) (joined bool, err error) {
	switch r.rest[0] {
	case '(':
		id, err := r.group()
		if err != nil {
			return false, err
		}
		p.push(id, gap)
		*literal = ""
		return false, nil
	case '@':
		n := 1
		for n < len(r.rest) && (r.rest[n] == '_' || r.rest[n] >= 'a' && r.rest[n] <= 'z' || r.rest[n] >= '0' && r.rest[n] <= '9') {
			n++
		}
		p.push(r.c.class(r.rest[1:n]), gap)
		r.rest = r.rest[n:]
		*literal = ""
		return false, nil
	}
	n := strings.IndexAny(r.rest, " |()<>&@")
	if n < 0 {
		n = len(r.rest)
	}
	if n == 0 {
		return false, fmt.Errorf("unexpected %q", r.rest)
	}
	written := r.rest[:n]
	r.rest = r.rest[n:]
	if len(written) > 1 && strings.HasSuffix(written, "_") {
		written, joined = written[:len(written)-1], true
	}
	for _, w := range strings.Split(written, "_") {
		mark := ""
		if strings.HasSuffix(w, "*") {
			w, mark = w[:len(w)-1], "*"
		} else if strings.HasPrefix(w, "~") {
			w, mark = w[1:], "~"
		}
		tokens := text.Tokens(w, nil)
		if len(tokens) == 0 {
			return false, fmt.Errorf("%q is no word", written)
		}
		for i, t := range tokens {
			word := t.Form
			if i == len(tokens)-1 {
				word = mark + word
			}
			p.push(r.c.class("="+word), gap)
			gap = 0
			*literal = word
		}
	}
	if len(p.parts) != 1 {
		*literal = ""
	}
	return joined, nil
}

func (p *pattern) push(id classID, gap int8) {
	p.parts = append(p.parts, id)
	p.gaps = append(p.gaps, gap)
}

// group reads alternatives in brackets into a class without a name.
func (r *reader) group() (classID, error) {
	depth, end := 0, -1
	for i := range len(r.rest) {
		switch r.rest[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				end = i
			}
		}
		if end >= 0 {
			break
		}
	}
	if end < 0 {
		return 0, fmt.Errorf("a bracket is not closed")
	}
	whole := r.rest[:end+1]
	_, known := r.c.ids[whole]
	id := r.c.class(whole)
	if known {
		r.rest = r.rest[end+1:]
		return id, nil
	}
	r.rest = r.rest[1:]
	for {
		if err := r.line(id); err != nil {
			return 0, err
		}
		if r.rest == "" {
			return 0, fmt.Errorf("a bracket is not closed")
		}
		closing := r.rest[0] == ')'
		r.rest = r.rest[1:]
		if closing {
			return id, nil
		}
	}
}

// add gives a read pattern to its class; a single word goes to the dictionary.
func (c *compiler) add(owner classID, p pattern, literal string) error {
	switch {
	case len(p.parts) == 0:
		return fmt.Errorf("an empty phrase")
	case len(p.parts) > 8:
		return fmt.Errorf("more than eight parts")
	case len(p.parts) == 1 && literal != "":
		return c.word(literal, owner)
	case p.window > 0 && len(p.parts) > 3:
		return fmt.Errorf("more than three parts in any order")
	}
	for i, id := range p.parts {
		if name := c.names[id]; name[0] == '=' && c.uses[id] == 0 {
			if err := c.word(name[1:], id); err != nil {
				return err
			}
		}
		c.uses[id]++
		_ = i
	}
	c.patterns[owner] = append(c.patterns[owner], p)
	return nil
}

func (c *compiler) word(literal string, id classID) error {
	into := c.exact
	switch {
	case strings.HasPrefix(literal, "*"):
		literal, into = literal[1:], c.prefixes
		if len(literal) < 3 {
			return fmt.Errorf("%q is too short to take any ending", literal)
		}
	case strings.HasPrefix(literal, "~"):
		literal, into = literal[1:], c.verbs
	}
	for _, have := range into[literal] {
		if have == id {
			return nil
		}
	}
	into[literal] = append(into[literal], id)
	return nil
}
