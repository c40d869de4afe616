package blob

import (
	"testing"

	"go.uber.org/goleak"
)

// What the tests' server and its client need runs until the binary ends.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}
