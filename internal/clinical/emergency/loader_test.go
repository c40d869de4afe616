package emergency

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

// copied is the built-in rules, to be spoilt.
func copied(t testing.TB) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	err := fs.WalkDir(embedded, "rules", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(embedded, path)
		out[strings.TrimPrefix(path, "rules/")] = &fstest.MapFile{Data: b}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLoaderRefuses(t *testing.T) {
	const base = "\n- condition: x\n  names: {en: a, fr: b, ar: c}\n  level: high\n  guideline: G\n  actions: [call]\n  rules:\n    - {id: x-1, when: \"chest_pain\", strength: 1}\n"
	for name, c := range map[string]struct{ file, text, want string }{
		"unknown field":     {"conditions/x.yaml", base + "  colour: red\n", "colour"},
		"unknown concept":   {"conditions/x.yaml", strings.Replace(base, "\"chest_pain\"", "chest_pane", 1), "chest_pane"},
		"word as concept":   {"conditions/x.yaml", strings.Replace(base, "\"chest_pain\"", "chest", 1), "unknown concept"},
		"no guideline":      {"conditions/x.yaml", strings.Replace(base, "guideline: G", "guideline: ''", 1), "guideline"},
		"unknown action":    {"conditions/x.yaml", strings.Replace(base, "[call]", "[dance]", 1), "dance"},
		"low level":         {"conditions/x.yaml", strings.Replace(base, "level: high", "level: low", 1), "level"},
		"a rule twice":      {"conditions/x.yaml", strings.Replace(base, "x-1", "acs-radiating", 1), "twice"},
		"open bracket":      {"conditions/x.yaml", strings.Replace(base, "\"chest_pain\"", "(chest_pain", 1), "bracket"},
		"a class twice":     {"concepts/x.yaml", "chest_pain: {en: a}", "twice"},
		"unknown class":     {"concepts/x.yaml", "x: {any: '@nowhere'}", "nowhere"},
		"a circle":          {"concepts/x.yaml", "x: {any: '@y & pain'}\ny: {any: '@x & pain'}", "part of itself"},
		"unknown kind":      {"concepts/x.yaml", "x: {kind: odd, en: a}", "odd"},
		"open group":        {"concepts/x.yaml", "x: {en: '(a|b'}", "bracket"},
		"new in dialects":   {"dialects/x.yaml", "x: {en: word}", "no class"},
		"unknown measure":   {"measures.yaml", "- {concept: a, measure: shoe_size, at_least: 3}", "shoe_size"},
		"no version":        {"version.yaml", "review: none", "version"},
		"message in no fr":  {"messages.yaml", "disclaimer: {en: a, ar: b}", "disclaimer"},
		"not a name":        {"concepts/x.yaml", "X-y: {en: a}", "name of a class"},
		"short with ending": {"concepts/x.yaml", "x: {en: 'ab*'}", "too short"},
	} {
		files := copied(t)
		files[c.file] = &fstest.MapFile{Data: []byte(c.text)}
		if _, err := load(files); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryConditionIsThere(t *testing.T) {
	e := newTestEngine(t)
	have := map[string]bool{}
	for _, id := range e.Conditions() {
		have[id] = true
	}
	if len(have) < 90 {
		t.Errorf("%d conditions", len(have))
	}
	for _, c := range e.set.conditions {
		for _, l := range languages {
			if c.Names.in(l) == "" {
				t.Errorf("%s has no name in %s", c.ID, l)
			}
		}
	}
}

func FuzzLoader(f *testing.F) {
	f.Add("x: {en: 'a (b|c d) <3> e*'}")
	f.Add("x: {any: '@chest &9 @pain', ar: '~تنفس'}")
	f.Add("x: {en: '((((|)'}")
	f.Fuzz(func(_ *testing.T, s string) {
		c := newCompiler()
		var entries map[string]entry
		if decode("x", []byte(s), &entries) != nil {
			return
		}
		for _, e := range entries {
			for _, p := range e.En.list() {
				_ = c.phrase(c.class("x"), p)
			}
		}
		_, _ = parseExpr(s, func(string) (classID, error) { return 0, nil })
	})
}
