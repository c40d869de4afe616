package config

import (
	"fmt"
	"strings"
)

// Usage is the list of every setting, for --help.
func Usage() string {
	var b strings.Builder
	b.WriteString("Settings, each as flag, as variable, or as a line of a YAML file\n" +
		"(--config or CHATMED_CONFIG), for instance\n" +
		"  --public-url=URL   CHATMED_PUBLIC_URL=URL   public_url: URL\n" +
		"A flag wins over a variable, a variable over the file.\n\n")
	for _, s := range settings() {
		fmt.Fprintf(&b, "  --%s\n      %s", s.flag(), s.help)
		if s.def != "" {
			fmt.Fprintf(&b, " (default %s)", s.def)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// mend is the second half of a complaint about an unknown name.
func mend(dashes, near, otherwise string) string {
	if near == "" {
		return otherwise
	}
	return fmt.Sprintf("did you mean %s%s? Otherwise %s", dashes, near, otherwise)
}

// closest is the known name that few typing slips turn into name, or "".
func closest(name string, known []string) string {
	const slips = 3
	best, bestAt := "", slips
	for _, k := range known {
		if d := distance(name, k); d < bestAt {
			best, bestAt = k, d
		}
	}
	return best
}

// distance is the Levenshtein distance in bytes: how many single insertions,
// deletions and replacements turn a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := min(row[j+1]+1, row[j]+1, diagonal+cost)
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
