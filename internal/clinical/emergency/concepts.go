package emergency

// Concept is a sign that a text names.
type Concept struct {
	ID     string
	Denied bool // the text says that it is not there
}

// Concepts names the signs of a text: those that count, and those that are denied.
// What is past, of somebody else or only asked about is left out.
func (e *Engine) Concepts(in Input) []Concept {
	s := e.pool.Get().(*screening)
	defer e.pool.Put(s)
	s.profile(in.Profile)
	denied := map[string]bool{}
	parts, _ := windows(in.Text)
	for _, p := range parts {
		s.screen(in.Text[p.Start:p.End], p.Start)
		for _, id := range s.m.touched {
			if k := e.set.kinds[id]; k != kindSign && k != kindMild && k != kindModifier {
				continue
			}
			name := e.set.lex.names[id]
			for _, at := range s.m.at[id] {
				switch s.m.judge(at) {
				case present:
					denied[name] = false
				case negated:
					if _, known := denied[name]; !known {
						denied[name] = true
					}
				}
			}
		}
	}
	out := make([]Concept, 0, len(denied))
	for _, name := range e.set.lex.names {
		if d, ok := denied[name]; ok {
			out = append(out, Concept{name, d})
			delete(denied, name)
		}
	}
	return out
}
