package loadtest

import "errors"

func newJanus(*Options, profile) (target, error) { return nil, errors.New("not yet") }
