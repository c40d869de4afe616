package loadtest

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress is one line that is written over on a terminal, and elsewhere a line
// now and then. It belongs to one goroutine.
type progress struct {
	out      io.Writer
	terminal bool
	last     time.Time
}

// quietFor is how long a log is spared another line.
const quietFor = 5 * time.Second

func newProgress(out io.Writer) *progress {
	p := &progress{out: out}
	if f, ok := out.(*os.File); ok {
		if st, err := f.Stat(); err == nil {
			p.terminal = st.Mode()&os.ModeCharDevice != 0
		}
	}
	return p
}

func (p *progress) say(format string, args ...any) {
	now := time.Now()
	switch {
	case p.terminal:
		_, _ = fmt.Fprintf(p.out, "\r\x1b[K"+format, args...) // progress may be lost
	case now.Sub(p.last) >= quietFor:
		p.last = now
		_, _ = fmt.Fprintf(p.out, format+"\n", args...)
	}
}

// clear leaves an empty line for what follows.
func (p *progress) clear() {
	if p.terminal {
		_, _ = fmt.Fprint(p.out, "\r\x1b[K")
	}
}
