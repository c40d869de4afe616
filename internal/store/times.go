package store

import (
	"database/sql"
	"fmt"
	"time"
)

// A stored time is the count of microseconds since 1970-01-01 UTC. That is
// exact and ordered on both databases, and what is read is always UTC.

func micros(t time.Time) int64 { return t.UnixMicro() }

// microsPtr is NULL for nil.
func microsPtr(t *time.Time) any {
	if t == nil {
		return nil
	}
	return t.UnixMicro()
}

// truncated is t as it would be read back.
func truncated(t time.Time) time.Time { return time.UnixMicro(t.UnixMicro()).UTC() }

func truncatedPtr(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := truncated(*t)
	return &u
}

// scanTime and scanTimePtr read a column into a time.
type (
	scanTime    struct{ to *time.Time }
	scanTimePtr struct{ to **time.Time }
)

var (
	_ sql.Scanner = scanTime{}
	_ sql.Scanner = scanTimePtr{}
)

func (s scanTime) Scan(src any) error {
	n, ok := src.(int64)
	if !ok {
		return fmt.Errorf("a time is stored as %T", src)
	}
	*s.to = time.UnixMicro(n).UTC()
	return nil
}

func (s scanTimePtr) Scan(src any) error {
	if src == nil {
		*s.to = nil
		return nil
	}
	var t time.Time
	if err := (scanTime{&t}).Scan(src); err != nil {
		return err
	}
	*s.to = &t
	return nil
}
