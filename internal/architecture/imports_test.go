// Package architecture holds the test that keeps the import rules.
package architecture

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/chatmed/chatmed"

// rule is what the files of a package that are no tests may import of this
// module, and what they must not import of anywhere.
type rule struct {
	may   []string
	never []string
}

// wired are the packages that only cmd knows: every other package gets its own
// Config, a logger, a registerer, and interfaces it declared itself.
var wired = []string{
	"internal/config", "internal/store", "internal/cluster", "internal/webhook", "internal/telemetry",
}

// http is what an engine that knows nothing of its callers does without.
var http = []string{"net/http", "github.com/gin-gonic/gin"}

// sockets is what a package of pure decisions does without.
var sockets = []string{"net", "os", "net/http"}

// clinical are the engines, which never import each other: api composes them.
var clinical = []string{
	"internal/clinical/chat", "internal/clinical/vision", "internal/clinical/speech",
	"internal/clinical/monitoring", "internal/clinical/prescription", "internal/clinical/emergency",
}

// rules has one line per package, from the top down. A package without one is
// an error: whoever adds a package says here where it stands. Some packages of
// the design are still to come.
func rules() map[string]rule {
	const consult, auth = "internal/consult", "internal/auth"
	all := map[string]rule{
		"cmd/chatmed": {may: slices.Concat(wired, clinical, []string{
			"api", "signaling", "waitingroom", "recording", "recording/capture", "recording/compose", "recording/journal", "recording/vault", "recording/wording", "sfu", "sfu/relay", "web",
			consult, auth, "internal/clinical/chat/provider", "internal/clinical/emergency/places", "internal/limits", "internal/blob", "internal/fhir", "internal/loadtest", "internal/loadtest/pionsfu",
		})},
		"api":         {may: append([]string{consult, auth, "internal/limits", "internal/fhir", "waitingroom", "recording/wording", "internal/clinical/emergency/places"}, clinical...)},
		"signaling":   {may: []string{consult, auth, "sfu", "waitingroom", "recording"}},
		"waitingroom": {may: []string{consult}},
		"recording":   {may: []string{consult, "sfu", "recording/capture", "recording/compose", "recording/gate", "recording/journal", "recording/vault", "recording/wording"}},

		"recording/capture": {may: []string{consult, "sfu", "recording/journal"}},
		"recording/compose": {may: []string{consult, "recording/journal"}},
		"recording/gate":    {may: []string{consult}, never: sockets},
		"recording/journal": {never: []string{"net", "net/http"}},
		"recording/vault":   {},
		"recording/wording": {may: []string{consult}, never: sockets},

		"sfu":            {may: []string{consult, "sfu/negotiate", "sfu/forward", "sfu/buffer", "sfu/udpmux", "sfu/srtp", "sfu/congestion", "sfu/relay"}},
		"sfu/negotiate":  {},
		"sfu/relay":      {},
		"sfu/udpmux":     {},
		"sfu/buffer":     {never: sockets},
		"sfu/forward":    {never: sockets},
		"sfu/srtp":       {never: sockets},
		"sfu/congestion": {never: sockets},

		consult:              {},
		auth:                 {may: []string{consult}},
		"internal/limits":    {may: []string{consult}},
		"internal/store":     {may: []string{consult}},
		"internal/cluster":   {may: []string{consult}},
		"internal/webhook":   {may: []string{consult}},
		"internal/fhir":      {may: []string{consult}},
		"internal/blob":      {},
		"internal/config":    {},
		"internal/telemetry": {},
		"web":                {},

		// It measures a server from outside, as clients see it.
		"internal/loadtest": {may: []string{"internal/loadtest/pionsfu"}},
		// A server to compare with, on our socket.
		"internal/loadtest/pionsfu": {may: []string{"sfu/udpmux"}},

		// A bad network on the loopback address, for tests.
		"internal/impair":            {},
		"internal/impair/cmd/impair": {may: []string{"internal/impair"}},

		// Only tests import these.
		"internal/architecture":      {},
		"internal/cluster/redistest": {},
		"internal/store/pgtest":      {},
		"internal/blob/s3test":       {},
	}
	for _, engine := range clinical {
		all[engine] = rule{may: []string{consult}, never: http}
	}
	const screen = "internal/clinical/emergency"
	all[screen] = rule{may: []string{consult, screen + "/text", screen + "/places", screen + "/learned"}, never: http}
	all[screen+"/text"] = rule{never: sockets}
	all[screen+"/places"] = rule{never: http}
	all[screen+"/learned"] = rule{may: []string{screen + "/text"}, never: sockets}
	all[screen+"/learned/train"] = rule{may: []string{screen, screen + "/learned"}, never: http}
	all[screen+"/eval"] = rule{may: []string{screen}, never: http}
	const chat = "internal/clinical/chat"
	all[chat] = rule{may: []string{consult, chat + "/dialogue", chat + "/search"}, never: http}
	all[chat+"/search"] = rule{never: sockets}
	all[chat+"/dialogue"] = rule{may: []string{chat + "/search"}, never: sockets}
	all[chat+"/provider"] = rule{may: []string{chat}}
	// It measures the conversation as api composes it, with the screen.
	all[chat+"/eval"] = rule{may: []string{chat, chat + "/search", screen}, never: http}
	return all
}

// goPackage is what go list says of a package.
type goPackage struct {
	ImportPath, Dir, Name   string
	GoFiles, IgnoredGoFiles []string
}

// sources are the files that are no tests, those for other systems included.
func (p goPackage) sources() []string {
	var out []string
	for _, f := range slices.Concat(p.GoFiles, p.IgnoredGoFiles) {
		if !strings.HasSuffix(f, "_test.go") {
			out = append(out, filepath.Join(p.Dir, f))
		}
	}
	return out
}

// packages are the packages of this module, without what the front end's
// dependencies bring along.
func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,Name,GoFiles,IgnoredGoFiles", module+"/...")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, complaints.String())
	}
	var all []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(p.ImportPath, "/node_modules/") {
			all = append(all, p)
		}
	}
	if len(all) < 10 {
		t.Fatalf("go list shows only %d packages", len(all))
	}
	return all
}

func TestImportsPointDownward(t *testing.T) {
	known := rules()
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		r, ok := known[name]
		if !ok {
			t.Errorf("%s has no line in the table of import rules", name)
			continue
		}
		for _, file := range p.sources() {
			for imported := range imports(t, file) {
				own, ours := strings.CutPrefix(imported, module+"/")
				if ours && !slices.Contains(r.may, own) {
					t.Errorf("%s: %s must not import %s", filepath.Base(file), name, own)
				}
				if slices.Contains(r.never, imported) {
					t.Errorf("%s: %s must not import %s", filepath.Base(file), name, imported)
				}
			}
		}
	}
}

// TestRulesKeepTheLayers checks the table itself: what only cmd knows stays so,
// and no two packages may import each other, however far around.
func TestRulesKeepTheLayers(t *testing.T) {
	known := rules()
	var below func(name string, seen []string)
	below = func(name string, seen []string) {
		if slices.Contains(seen, name) {
			t.Fatalf("the rules allow a circle: %v", append(seen, name))
		}
		for _, next := range known[name].may {
			if _, ok := known[next]; !ok {
				t.Errorf("%s may import %s, which has no line", name, next)
			}
			if name != "cmd/chatmed" && slices.Contains(wired, next) {
				t.Errorf("%s may import %s, which only cmd may", name, next)
			}
			below(next, append(slices.Clone(seen), name))
		}
	}
	for name := range known {
		below(name, nil)
	}
}

// TestOnlyMainExits keeps functions that end the process out of every file but
// main.go, so that shutdown stays one ordered list.
func TestOnlyMainExits(t *testing.T) {
	for _, p := range packages(t) {
		for _, file := range p.sources() {
			if p.Name == "main" && filepath.Base(file) == "main.go" { // the server's, and small tools'
				continue
			}
			names := imports(t, file)
			set := token.NewFileSet()
			ast.Inspect(parse(t, set, file, parser.SkipObjectResolution), func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				x, ok := sel.X.(*ast.Ident)
				if ok && (x.Name == names["os"] && sel.Sel.Name == "Exit" || x.Name == names["syscall"] && sel.Sel.Name == "Exit" ||
					x.Name == names["log"] && (strings.HasPrefix(sel.Sel.Name, "Fatal") || strings.HasPrefix(sel.Sel.Name, "Panic"))) {
					t.Errorf("%s: only main may call %s.%s", set.Position(n.Pos()), x.Name, sel.Sel.Name)
				}
				return true
			})
		}
	}
}

// imports maps the imported paths of a file to the names it uses for them.
func imports(t *testing.T, file string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, s := range parse(t, token.NewFileSet(), file, parser.ImportsOnly).Imports {
		imported, err := strconv.Unquote(s.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		out[imported] = path.Base(imported)
		if s.Name != nil {
			out[imported] = s.Name.Name
		}
	}
	return out
}

func parse(t *testing.T, set *token.FileSet, file string, mode parser.Mode) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(set, file, nil, mode)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
