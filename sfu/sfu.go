// Package sfu forwards media: rooms, participants, publications, subscriptions
// and their transport.
package sfu
