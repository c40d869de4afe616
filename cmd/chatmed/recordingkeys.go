package main

import "github.com/chatmed/chatmed/recording/vault"

// ageKeys reads the public keys that recordings are encrypted to.
type ageKeys struct{}

func (ageKeys) Recipient(given string) (recipient, fingerprint string, err error) {
	r, err := vault.ParseRecipient(given)
	if err != nil {
		return "", "", err
	}
	return r.String(), vault.Fingerprint(r.String()), nil
}
