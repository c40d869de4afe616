package fhir

// Bundle is a searchset: http://hl7.org/fhir/R4/bundle.html
type Bundle struct {
	ResourceType string       `json:"resourceType"`
	Type         string       `json:"type"`
	Total        int          `json:"total"`
	Link         []BundleLink `json:"link"`
	Entry        []Entry      `json:"entry,omitempty"`
}

// BundleLink leads to this page or another of the search.
type BundleLink struct {
	Relation string `json:"relation"`
	URL      string `json:"url"`
}

// Entry is one resource that was found.
type Entry struct {
	FullURL  string  `json:"fullUrl"`
	Resource Consent `json:"resource"`
	Search   struct {
		Mode string `json:"mode"`
	} `json:"search"`
}

// Searchset is a page of what was found, which is total in all. self is its
// address, next the next page's or "".
func Searchset(page []Consent, total int, self, next string) Bundle {
	b := Bundle{ResourceType: "Bundle", Type: "searchset", Total: total, Link: []BundleLink{{"self", self}}}
	if next != "" {
		b.Link = append(b.Link, BundleLink{"next", next})
	}
	for _, c := range page {
		e := Entry{FullURL: fullURL(c.Identifier[0].Value), Resource: c}
		e.Search.Mode = "match"
		b.Entry = append(b.Entry, e)
	}
	return b
}
