package blob

import (
	"fmt"
	"strings"
	"testing"
)

const hidden = "Zs3cr3tZ"

func noEnv(string) string { return "" }

func TestStorageURLs(t *testing.T) {
	env := func(name string) string {
		return map[string]string{
			"AWS_ACCESS_KEY_ID": "ek", "AWS_SECRET_ACCESS_KEY": "es", "AWS_SESSION_TOKEN": "et", "AWS_REGION": "er",
		}[name]
	}
	for raw, want := range map[string]Remote{
		"s3://k:s@s3.example/bucket":                                   {Endpoint: "s3.example", Bucket: "bucket", Key: "k", Secret: "s"},
		"s3://k:s%2Ft%2B@s3.example:9000/bucket/a/b/?region=eu-west-3": {Endpoint: "s3.example:9000", Bucket: "bucket", Prefix: "a/b", Key: "k", Secret: "s/t+", Region: "eu-west-3"},
		"s3://k:s@[::1]:9000/bucket?insecure=1":                        {Endpoint: "[::1]:9000", Bucket: "bucket", Key: "k", Secret: "s", Insecure: true},
		"s3://k:s@127.0.0.1/b-1.x/?insecure=0":                         {Endpoint: "127.0.0.1", Bucket: "b-1.x", Key: "k", Secret: "s"},
	} {
		got, err := ParseURL(raw, noEnv)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", raw, got, err)
		}
	}
	got, err := ParseURL("s3://s3.example/bucket", env)
	if want := (Remote{Endpoint: "s3.example", Bucket: "bucket", Key: "ek", Secret: "es", Session: "et", Region: "er"}); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = ParseURL("s3://k:s@s3.example/bucket?region=x", env)
	if err != nil || got.Key != "k" || got.Session != "" || got.Region != "x" {
		t.Errorf("the URL's own credentials: %+v, %v", got, err)
	}
}

func TestStorageURLsThatAreRefused(t *testing.T) {
	for raw, want := range map[string]string{
		"":                                       "not of S3",
		"http://k:" + hidden + "@h/bucket":       "not of S3",
		"s3://k:" + hidden + "/x@h/bucket":       "not a URL",
		"s3://k:" + hidden + "@/bucket":          "no host",
		"s3:" + hidden:                           "no host",
		"s3://k:" + hidden + "@h":                "no bucket",
		"s3://k:" + hidden + "@h/":               "no bucket",
		"s3://k:" + hidden + "@h//x":             "no bucket",
		"s3://k:" + hidden + "@h/Bucket":         "unusable bucket",
		"s3://k:" + hidden + "@h/ab":             "unusable bucket",
		"s3://k:" + hidden + "@h/1.2.3.4":        "unusable bucket",
		"s3://k:" + hidden + "@h/-bucket":        "unusable bucket",
		"s3://k:" + hidden + "@h/bucket/../x":    "unusable prefix",
		"s3://k:" + hidden + "@h/bucket/a b":     "unusable prefix",
		"s3://k:" + hidden + "@h/bucket/a//b":    "unusable prefix",
		"s3://k:" + hidden + "@h_/bucket":        "unusable host",
		"s3://k:" + hidden + "@h:/bucket":        "no port",
		"s3://k:" + hidden + "@h:0/bucket":       "bad port",
		"s3://k:" + hidden + "@h:70000/bucket":   "bad port",
		"s3://k:" + hidden + "@h/bucket?x=1":     "unknown in its query",
		"s3://k:s@h/bucket?" + hidden + "=1":     "unknown in its query",
		"s3://k:s@h/bucket?insecure=" + hidden:   "unusable",
		"s3://k:s@h/bucket?insecure=1&insecure=": "more than one",
		"s3://k:s@h/bucket?region=":              "unusable",
		"s3://k:s@h/bucket?%zz":                  "unreadable query",
		"s3://k:s@h/bucket?#" + hidden:           "after #",
		"s3://k:" + hidden + "#x@h/bucket":       "",
		"s3://" + hidden + "@h/bucket":           "no credentials",
		"s3://:" + hidden + "@h/bucket":          "no credentials",
		"s3://h/bucket":                          "no credentials",
	} {
		_, err := ParseURL(raw, noEnv)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), hidden) {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"s3://k:s@h:1/bucket/p?region=x&insecure=1", "s3://h/b", "s3://k:%2F@[::1]/bucket"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		r, err := ParseURL(raw, noEnv)
		if err != nil {
			return
		}
		if r.Prefix != "" && checkKey(r.Prefix) != nil || r.Bucket == "" || r.Key == "" || r.Secret == "" || strings.ContainsAny(r.Endpoint, "/@?# ") {
			t.Errorf("%q", fmt.Sprintf("%+v", r))
		}
		if _, err := NewS3(r); err != nil && strings.Contains(err.Error(), r.Secret) && len(r.Secret) > 8 {
			t.Errorf("%v", err)
		}
	})
}

func FuzzKeys(f *testing.F) {
	for _, s := range []string{"a/b", "../a", "a//b", ".x", "recordings/rec_1/seg.journal"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if checkKey(key) != nil {
			return
		}
		if key != strings.Trim(key, "/") || strings.Contains(key, "..") && strings.Contains("/"+key+"/", "/../") || strings.ContainsAny(key, "\\\x00 ") {
			t.Errorf("%q", key)
		}
	})
}
