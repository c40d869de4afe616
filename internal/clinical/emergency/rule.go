package emergency

import (
	"fmt"
	"strings"
)

// expr is the condition of a rule: concepts joined by and, or, not.
type expr struct {
	op    byte // 'c' a concept, '&', '|', '!'
	class classID
	parts []*expr
}

// holds tells whether the expression is true of the concepts that are present.
func (e *expr) holds(has func(classID) bool) bool {
	switch e.op {
	case 'c':
		return has(e.class)
	case '!':
		return !e.parts[0].holds(has)
	case '&':
		for _, p := range e.parts {
			if !p.holds(has) {
				return false
			}
		}
		return true
	}
	for _, p := range e.parts {
		if p.holds(has) {
			return true
		}
	}
	return false
}

// evidence calls f with every concept that speaks for the expression.
func (e *expr) evidence(has func(classID) bool, f func(classID)) {
	switch e.op {
	case 'c':
		if has(e.class) {
			f(e.class)
		}
	case '!':
	default:
		for _, p := range e.parts {
			p.evidence(has, f)
		}
	}
}

// parseExpr reads "a and (b or c) and not d". Words must be concepts.
func parseExpr(s string, concept func(string) (classID, error)) (*expr, error) {
	s = strings.NewReplacer("(", " ( ", ")", " ) ").Replace(s)
	p := &exprParser{words: strings.Fields(s), concept: concept}
	e, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if len(p.words) > 0 {
		return nil, fmt.Errorf("unexpected %q", p.words[0])
	}
	return e, nil
}

type exprParser struct {
	words   []string
	concept func(string) (classID, error)
}

func (p *exprParser) take(word string) bool {
	if len(p.words) > 0 && p.words[0] == word {
		p.words = p.words[1:]
		return true
	}
	return false
}

func (p *exprParser) or(depth int) (*expr, error) {
	return p.list(depth, "or", '|', func() (*expr, error) {
		return p.list(depth, "and", '&', func() (*expr, error) { return p.one(depth) })
	})
}

func (p *exprParser) list(_ int, word string, op byte, next func() (*expr, error)) (*expr, error) {
	e, err := next()
	if err != nil {
		return nil, err
	}
	all := []*expr{e}
	for p.take(word) {
		if e, err = next(); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	if len(all) == 1 {
		return e, nil
	}
	return &expr{op: op, parts: all}, nil
}

func (p *exprParser) one(depth int) (*expr, error) {
	if depth > 20 {
		return nil, fmt.Errorf("too deep")
	}
	switch {
	case len(p.words) == 0:
		return nil, fmt.Errorf("a concept is missing at the end")
	case p.take("not"):
		e, err := p.one(depth + 1)
		if err != nil {
			return nil, err
		}
		return &expr{op: '!', parts: []*expr{e}}, nil
	case p.take("("):
		e, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.take(")") {
			return nil, fmt.Errorf("a bracket is not closed")
		}
		return e, nil
	}
	id, err := p.concept(p.words[0])
	if err != nil {
		return nil, err
	}
	p.words = p.words[1:]
	return &expr{op: 'c', class: id}, nil
}
