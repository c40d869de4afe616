package main

import (
	"github.com/chatmed/chatmed/internal/clinical/emergency"
)

type vignette struct {
	number int
	label  emergency.Urgency
	result emergency.Result
}

func readVignettes(_ *emergency.Engine, _, _ string) ([]*vignette, string, error) {
	return nil, "", nil
}

func (r report) vignetteTable() string { return "" }
func (r report) document() string      { return r.summary() }
