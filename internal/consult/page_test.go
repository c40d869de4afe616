package consult

import (
	"strings"
	"testing"
	"time"
)

func TestCursors(t *testing.T) {
	c := Cursor{At: start.Add(123 * time.Microsecond), ID: NewID(PrefixConsultation)}
	got, limit, err := Page{After: c.String(), Limit: 7}.Read()
	if err != nil || *got != c || limit != 7 {
		t.Errorf("read %+v, %d, %v", got, limit, err)
	}
	if first, limit, err := (Page{}).Read(); first != nil || limit != DefaultPageLimit || err != nil {
		t.Errorf("the first page is %v, %d, %v", first, limit, err)
	}
	for _, p := range []Page{{Limit: -1}, {Limit: MaxPageLimit + 1}, {After: "*"}, {After: c.String() + "="}, {After: c.String() + "\n"}, {After: "MQ"}} {
		_, _, err := p.Read()
		wantCode(t, err, BadRequest)
	}
	items, next := NextCursor([]int{1, 2, 3}, 2, func(*int) Cursor { return c })
	if len(items) != 2 || next != c.String() {
		t.Errorf("%v, %q", items, next)
	}
	if items, next = NextCursor([]int{1, 2}, 2, func(*int) Cursor { return c }); len(items) != 2 || next != "" {
		t.Errorf("%v, %q", items, next)
	}
}

// FuzzCursor holds that a cursor has one spelling, and that none smuggles
// anything but a time and an id into a query.
func FuzzCursor(f *testing.F) {
	f.Add(Cursor{At: start, ID: "vs_01"}.String())
	f.Add("MTIzIHg")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		c, _, err := Page{After: s}.Read()
		if err != nil {
			if strings.Contains(err.Error(), s) && len(s) > 12 {
				t.Error("the error repeats its input")
			}
			return
		}
		if s != "" && (c.String() != s || !ValidExternalID(c.ID)) {
			t.Errorf("%q reads as %+v, which is %q", s, c, c.String())
		}
	})
}
