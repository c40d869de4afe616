package consult_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

var consentKeys = [][]byte{[]byte("the current key"), []byte("the previous key")}

// consentChain is n records, signed under keys[i%len(keys)].
func consentChain(n int, keys [][]byte) []consult.Consent {
	var out []consult.Consent
	prev := ""
	for i := range n {
		c := consult.Consent{
			ID: "cns_" + string(rune('a'+i)), Scope: consult.Scope{AccountID: "acc", Mode: consult.Live}, SessionID: "vs", Seq: int64(i) + 1,
			ParticipantID: "prt", Role: consult.Patient, Subject: "pat", Alias: "pat_x", Decision: consult.ConsentGranted,
			WordingID: "recording-1", WordingHash: consult.HashWording("text"), Language: "fr", At: time.UnixMicro(int64(i)), PrevHash: prev,
		}
		c.Hash = c.ComputeHash()
		c.Signature = c.SignedBy(keys[i%len(keys)])
		prev = c.Hash
		out = append(out, c)
	}
	return out
}

// The form of the bytes is fixed: hashes that were made must be made again.
func TestTheHashOfAConsentStays(t *testing.T) {
	c := consentChain(1, consentKeys)[0]
	const want = "4337d2041490b4cba72ddbfd80514154656657effaf1f9e88c907756ef28dbf3"
	if c.Hash != want {
		t.Errorf("hash %s, want %s: give the new form a new name", c.Hash, want)
	}
}

// No other record has the same bytes: whichever field changes, the hash does,
// and a byte that moves from a field into the next is a change too.
func TestEveryFieldOfAConsentCounts(t *testing.T) {
	fields := []func(*consult.Consent) *string{
		func(c *consult.Consent) *string { return &c.Scope.AccountID },
		func(c *consult.Consent) *string { return (*string)(&c.Scope.Mode) },
		func(c *consult.Consent) *string { return &c.SessionID },
		func(c *consult.Consent) *string { return &c.ID },
		func(c *consult.Consent) *string { return &c.ParticipantID },
		func(c *consult.Consent) *string { return (*string)(&c.Role) },
		func(c *consult.Consent) *string { return &c.Alias },
		func(c *consult.Consent) *string { return (*string)(&c.Decision) },
		func(c *consult.Consent) *string { return &c.WordingID },
		func(c *consult.Consent) *string { return &c.WordingHash },
		func(c *consult.Consent) *string { return &c.Language },
		func(c *consult.Consent) *string { return &c.PrevHash },
	}
	good := consentChain(2, consentKeys)[1]
	seen := map[string]bool{good.Hash: true}
	differs := func(what string, i int, c consult.Consent) {
		t.Helper()
		h := c.ComputeHash()
		if seen[h] {
			t.Errorf("%s %d: a hash that another record has", what, i)
		}
		seen[h] = true
	}
	for i, field := range fields {
		c := good
		*field(&c) += "x"
		differs("longer", i, c)
		c = good
		v := field(&c)
		moved := (*v)[len(*v)-1:]
		*v = (*v)[:len(*v)-1]
		differs("shorter", i, c)
		if i+1 < len(fields) {
			next := fields[i+1](&c)
			*next = moved + *next
			differs("moved", i, c)
		}
	}
	c := good
	c.Seq++
	differs("seq", 0, c)
	c = good
	c.At = c.At.Add(time.Microsecond)
	differs("at", 0, c)
	// What an erasure and a display change does not count.
	c = good
	c.Subject, c.Text, c.Signature, c.At = "pat_x", "text", "", c.At.In(time.FixedZone("", 3600))
	if c.ComputeHash() != good.Hash {
		t.Error("the subject, the text or the zone counts")
	}
}

// Any change of a chain but cutting its end is found, at the first record that
// is not what it was.
func TestVerifyConsents(t *testing.T) {
	if b := consult.VerifyConsents(nil, consentKeys); b != nil {
		t.Error(b)
	}
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the schedule of a test
	for range 500 {
		n := 1 + r.IntN(8)
		whole := consentChain(n, consentKeys)
		if b := consult.VerifyConsents(whole, consentKeys); b != nil {
			t.Fatal(b)
		}
		chain, i := slices.Clone(whole), r.IntN(n)
		switch r.IntN(6) {
		case 0:
			chain[i].Decision = consult.ConsentDeclined
		case 1: // hash and signature too, by who has another key
			chain[i].Decision = consult.ConsentDeclined
			chain[i].Hash = chain[i].ComputeHash()
			chain[i].Signature = chain[i].SignedBy([]byte("no key of ours"))
		case 2:
			chain[i].Signature = chain[(i+1)%n].Signature
			if n == 1 {
				chain[i].Signature = ""
			}
		case 3:
			if i == n-1 {
				continue
			}
			chain = slices.Delete(chain, i, i+1)
		case 4:
			chain = slices.Insert(chain, i, chain[i])
			i++ // the one that stands twice is right the first time
		case 5:
			if i == 0 {
				continue
			}
			chain[i].SessionID = "vs_other"
		}
		b := consult.VerifyConsents(chain, consentKeys)
		if b == nil || b.Seq != int64(i)+1 || b.Error() == "" {
			t.Fatalf("record %d of %d: %v", i+1, n, b)
		}
	}
	if b := consult.VerifyConsents(consentChain(3, [][]byte{[]byte("x")}), nil); b != nil {
		t.Errorf("without keys no signature is demanded: %v", b)
	}
}

func TestStanding(t *testing.T) {
	chain := consentChain(3, consentKeys)
	chain[1].Role, chain[1].Decision = consult.Guest, consult.ConsentDeclined // of the same subject, but another person
	chain[2].Decision = consult.ConsentWithdrawn
	got := consult.Standing(chain)
	if len(got) != 2 || got[chain[0].Person()].Decision != consult.ConsentWithdrawn || got[chain[1].Person()].Decision != consult.ConsentDeclined {
		t.Errorf("%+v", got)
	}
}

func TestRecordingTerms(t *testing.T) {
	s := consult.RecordingSettings{AccountName: "Clinic", RetentionDays: 30}
	at := time.Date(2025, 3, 1, 0, 0, 0, 0, time.UTC)
	if got := s.RetainUntil(at); !got.Equal(at.AddDate(0, 0, 30)) || s.KeptBy() != "Clinic" {
		t.Errorf("%v %s", got, s.KeptBy())
	}
	s.RetentionDays, s.Keeper = 0, "Group"
	if s.RetainUntil(at) != nil || s.KeptBy() != "Group" {
		t.Error("no term, another keeper")
	}
}
