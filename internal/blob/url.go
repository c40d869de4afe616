package blob

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Remote says where a bucket is and who may use it.
type Remote struct {
	Endpoint string // host[:port]
	Bucket   string
	Prefix   string // before every key, without slashes around; may be empty
	Region   string // empty: the store is asked
	Insecure bool   // HTTP without TLS
	// The credentials. Session is of temporary ones.
	Key, Secret, Session string
}

// form is what a storage URL looks like, for those who have to mend one.
const form = "give s3://KEY:SECRET@host[:port]/bucket[/prefix]?region=…&insecure=1"

// ParseURL reads s3://KEY:SECRET@host[:port]/bucket[/prefix] with region and
// insecure=1 (HTTP) in the query. Credentials that are not in it come from
// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, the region from
// AWS_REGION; getenv reads them. An error repeats nothing of the URL.
func ParseURL(raw string, getenv func(string) string) (Remote, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil: // its text repeats the URL
		return Remote{}, errors.New("is not a URL; " + form + ", with %2F for a slash in the key")
	case u.Scheme != "s3":
		return Remote{}, errors.New("is not of S3; " + form)
	case u.Hostname() == "":
		return Remote{}, errors.New("has no host; " + form)
	case u.Fragment != "" || u.Opaque != "":
		return Remote{}, errors.New("has something after #; " + form + ", with %23 for # in the key")
	}
	r := Remote{Endpoint: u.Host}
	if err := checkEndpoint(u); err != nil {
		return Remote{}, err
	}
	if r.Bucket, r.Prefix, err = bucketOf(u.Path); err != nil {
		return Remote{}, err
	}
	if r.Region, r.Insecure, err = optionsOf(u.RawQuery); err != nil {
		return Remote{}, err
	}
	if r.Region == "" {
		r.Region = getenv("AWS_REGION")
	}
	if u.User != nil {
		r.Key = u.User.Username()
		r.Secret, _ = u.User.Password()
	} else {
		r.Key, r.Secret, r.Session = getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY"), getenv("AWS_SESSION_TOKEN")
	}
	if r.Key == "" || r.Secret == "" {
		return Remote{}, errors.New("has no credentials; " + form + ", or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	return r, nil
}

func checkEndpoint(u *url.URL) error {
	host, port := u.Hostname(), u.Port()
	if net.ParseIP(host) == nil {
		for _, c := range []byte(host) {
			switch {
			case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-':
			default:
				return errors.New("has an unusable host; " + form)
			}
		}
	}
	if port == "" && strings.HasSuffix(u.Host, ":") {
		return errors.New("has a colon and no port; " + form)
	}
	if n, err := strconv.Atoi(port); port != "" && (err != nil || n < 1 || n > 65535) {
		return errors.New("has a bad port; give a number from 1 to 65535, or none")
	}
	return nil
}

// bucketOf splits /bucket/prefix.
func bucketOf(path string) (bucket, prefix string, err error) {
	bucket, prefix, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if bucket == "" {
		return "", "", errors.New("has no bucket; " + form)
	}
	// The names that S3 takes, and no address.
	ok := len(bucket) >= 3 && len(bucket) <= 63 && net.ParseIP(bucket) == nil && !strings.Contains(bucket, "..") &&
		strings.Trim(bucket, ".-") == bucket
	for _, c := range []byte(bucket) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-')
	}
	if !ok {
		return "", "", errors.New("has an unusable bucket; a bucket has 3 to 63 small letters, digits, dots and dashes")
	}
	prefix = strings.TrimSuffix(prefix, "/")
	if prefix != "" && (checkKey(prefix) != nil || len(prefix) > 200) {
		return "", "", errors.New("has an unusable prefix; a prefix has letters, digits, dots, dashes, underscores and slashes")
	}
	return bucket, prefix, nil
}

func optionsOf(query string) (region string, insecure bool, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return "", false, errors.New("has an unreadable query; " + form)
	}
	for name, v := range values {
		switch {
		case len(v) != 1:
			return "", false, fmt.Errorf("has more than one %q in its query", name)
		case name == "region" && validName(v[0]):
			region = v[0]
		case name == "insecure" && (v[0] == "1" || v[0] == "0"):
			insecure = v[0] == "1"
		case name == "region" || name == "insecure":
			return "", false, fmt.Errorf("has an unusable %q in its query; %s", name, form)
		default: // its name may be a piece of a key
			return "", false, errors.New("has something unknown in its query; " + form)
		}
	}
	return region, insecure, nil
}
