package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// value is a setting's text and the place it came from, as its owner calls it.
type value struct {
	text string
	from string
}

// complain is the sentence about a bad value.
func (s setting) complain(v value, err error) error {
	if s.hidden || v.text == "" {
		return fmt.Errorf("%s %w", v.from, err)
	}
	return fmt.Errorf("%s: %q %w", v.from, v.text, err)
}

// collect merges the three sources: flag over environment over file.
func collect(fs *flag.FlagSet, environ []string) (map[string]value, error) {
	var errs []error
	env, file, err := fromEnv(environ)
	errs = append(errs, err)
	flags := make(map[string]value)
	byFlag := make(map[string]setting)
	for _, s := range settings() {
		byFlag[s.flag()] = s
	}
	fs.Visit(func(f *flag.Flag) {
		if s, ok := byFlag[f.Name]; ok {
			flags[s.name] = value{f.Value.String(), "--" + f.Name}
		}
		if f.Name == "config" {
			file = f.Value.String()
		}
	})
	merged := make(map[string]value)
	if file != "" {
		merged, err = fromFile(file)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for _, src := range []map[string]value{env, flags} {
		for name, v := range src {
			merged[name] = v
		}
	}
	return merged, nil
}

// fromEnv reads the CHATMED_* variables and the file CHATMED_CONFIG names. An
// empty variable counts as absent, because Compose files pass them that way.
func fromEnv(environ []string) (values map[string]value, file string, err error) {
	known := make(map[string]string)
	names := []string{configEnv}
	for _, s := range settings() {
		known[s.env()] = s.name
		names = append(names, s.env())
	}
	inKubernetes := false
	for _, kv := range environ {
		inKubernetes = inKubernetes || strings.HasPrefix(kv, "KUBERNETES_SERVICE_HOST=")
	}
	values = make(map[string]value)
	var errs []error
	for _, kv := range environ {
		key, text, ok := strings.Cut(kv, "=")
		if !ok || !strings.HasPrefix(key, prefix) {
			continue
		}
		name, ok := known[key]
		switch {
		case key == configEnv:
			file = text
		case ok && text != "":
			values[name] = value{text, key}
		case ok, inKubernetes && serviceLink(key, text):
		default:
			errs = append(errs, fmt.Errorf("unknown variable %s: %s", key,
				mend("", closest(key, names), "remove it, or see chatmed serve --help for the list")))
		}
	}
	return values, file, errors.Join(errs...)
}

// serviceLink reports whether Kubernetes itself set the variable: it announces
// every Service of the namespace to each pod, and one named chatmed or
// chatmed-redis gets names under our prefix.
func serviceLink(key, text string) bool {
	env := regexp.MustCompile(`^CHATMED_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)
	// The shortest form looks like a slip for one of ours (CHATMED_UPD_PORT=7882)
	// but for its value, which is always a URL.
	link := strings.HasSuffix(key, "_PORT") && strings.Contains(text, "://")
	return link || env.MatchString(key)
}

// maxFile bounds the configuration file, in bytes.
const maxFile = 1 << 20

// fromFile reads the YAML file at path: one flat mapping of setting to scalar,
// or to a list of scalars. A key may be written as the setting, the flag or
// the variable is (public_url, public-url, CHATMED_PUBLIC_URL).
func fromFile(path string) (map[string]value, error) {
	raw, err := readBounded(path)
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w: give --config or %s the path of a YAML file that this user can read", err, configEnv)
	}
	dec := yaml.NewDecoder(strings.NewReader(string(raw)))
	var doc yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return map[string]value{}, nil
	case err != nil:
		return nil, fmt.Errorf("%s is not YAML; write lines like \"addr: :8080\": %w", path, err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s holds more than one document: keep one", path)
	}
	if len(doc.Content) == 0 {
		return map[string]value{}, nil
	}
	return fromMapping(path, doc.Content[0])
}

func fromMapping(path string, m *yaml.Node) (map[string]value, error) {
	values := make(map[string]value)
	if m.Kind == yaml.ScalarNode && m.Tag == "!!null" { // only comments
		return values, nil
	}
	if m.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s is not a mapping: write lines like \"addr: :8080\"", path)
	}
	known := make(map[string]bool)
	var names []string
	for _, s := range settings() {
		known[s.name] = true
		names = append(names, s.name)
	}
	var errs []error
	for i := 0; i+1 < len(m.Content); i += 2 {
		k, v := m.Content[i], m.Content[i+1]
		from := fmt.Sprintf("%s:%d: %s", path, k.Line, k.Value)
		name := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(k.Value, prefix)), "-", "_")
		text, ok := scalarText(v)
		switch _, twice := values[name]; {
		case !known[name]:
			errs = append(errs, fmt.Errorf("%s:%d: unknown key %q: %s", path, k.Line, k.Value,
				mend("", closest(name, names), "remove it, or see chatmed serve --help for the list")))
		case twice:
			errs = append(errs, fmt.Errorf("%s is set twice: keep one", from))
		case !ok:
			errs = append(errs, fmt.Errorf("%s is neither a value nor a list of values: write it on one line, without nesting", from))
		default:
			values[name] = value{text, from}
		}
	}
	return values, errors.Join(errs...)
}

// scalarText is a scalar as written, or a list of scalars joined by commas.
func scalarText(n *yaml.Node) (string, bool) {
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return "", true
		}
		return n.Value, true
	case yaml.SequenceNode:
		parts := make([]string, 0, len(n.Content))
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				return "", false
			}
			parts = append(parts, item.Value)
		}
		return strings.Join(parts, ","), true
	}
	return "", false
}

func readBounded(path string) (raw []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	raw, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(raw) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return raw, err
}
