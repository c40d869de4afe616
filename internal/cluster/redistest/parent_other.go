//go:build !linux

package redistest

import "syscall"

// dieWithParent has no portable form; the test's cleanup ends the server.
func dieWithParent() *syscall.SysProcAttr { return nil }
