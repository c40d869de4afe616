package sfu

import "strings"

// fmtpValue returns a parameter of an fmtp line in lower case, "" when absent.
func fmtpValue(fmtp, key string) string {
	for _, p := range strings.Split(fmtp, ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(k, key) {
			return strings.ToLower(v)
		}
	}
	return ""
}

func orZero(s string) string {
	if s == "" {
		return "0"
	}
	return s
}
