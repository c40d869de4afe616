//go:build !race

package sfu_test

const proofSchedules = 1000
