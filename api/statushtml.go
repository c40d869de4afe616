package api

import (
	"html"
	"strconv"
	"strings"
)

// statusView is the status page in one language. html/template would be the
// usual way to write it; its use of reflection keeps every exported method of the
// whole program in the binary, which makes it larger by two fifths.
type statusView struct {
	lang, dir           string
	words               map[string]string
	state               health
	headline            string
	updated, since      string // RFC 3339
	components, trouble []statusRow
}

// statusRow is a component or an incident as the page shows it.
type statusRow struct {
	name, word string
	state      health
	from, to   string // of an incident; RFC 3339, to is empty while it lasts
	slots      []statusSlot
	summary    string
}

type statusSlot struct {
	state health
	x     int
}

// page is HTML being written.
type page struct{ strings.Builder }

// put writes markup and text in turns: every second part, the text, is escaped.
func (p *page) put(parts ...string) {
	for i, s := range parts {
		if i%2 == 1 {
			s = html.EscapeString(s)
		}
		p.WriteString(s)
	}
}

func (p *page) time(at string) {
	p.put(`<time datetime="`, at, `" dir="ltr">`, readable(at), `</time>`)
}

// line is the name and the state of a row.
func (p *page) line(r *statusRow) {
	p.put(`<div class="line"><span class="name">`, r.name, `</span><span class="state `, string(r.state),
		`"><span class="mark" aria-hidden="true"></span>`, r.word, "</span></div>\n")
}

func (v *statusView) html() []byte {
	var p page
	p.put(`<!doctype html>
<html lang="`, v.lang, `" dir="`, v.dir, `">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>`, v.words["title"], ` – ChatMed</title>
<style>`+statusStyle+`</style>
</head>
<body>
<header><a href="/">`, v.words["home"], `</a></header>
<main>
<h1>`, v.words["title"], `</h1>
<p class="overall `, string(v.state), `"><span class="mark" aria-hidden="true"></span>`, v.headline, `</p>
<p class="soft">`, v.words["updated"], " ")
	p.time(v.updated)
	p.put(`</p>
<section aria-labelledby="components">
<h2 id="components">`, v.words["components"], `</h2>
<p class="soft">`, v.words["history"], "</p>\n<ul>\n")
	for i := range v.components {
		v.component(&p, &v.components[i])
	}
	p.put(`</ul>
</section>
<section aria-labelledby="incidents">
<h2 id="incidents">`, v.words["incidents"], "</h2>\n")
	v.incidents(&p)
	p.put("</section>\n</main>\n<footer class=\"soft\"><p>", v.words["since"], " ")
	p.time(v.since)
	p.put(".</p><p>", v.words["json"], "</p></footer>\n</body>\n</html>\n")
	return []byte(p.String())
}

func (v *statusView) component(p *page, r *statusRow) {
	width := strconv.Itoa(historySlots * slotWidth)
	p.put("<li>\n")
	p.line(r)
	p.put(`<svg role="img" aria-label="`, r.summary, `" viewBox="0 0 `, width, ` 24" preserveAspectRatio="none">
<rect class="empty" x="0" y="0" width="`, width, `" height="24"/>`)
	for _, s := range r.slots {
		p.put(`<rect class="`, string(s.state), `" x="`, strconv.Itoa(s.x), `" y="0" width="5" height="24"/>`)
	}
	p.put("\n</svg>\n</li>\n")
}

func (v *statusView) incidents(p *page) {
	if len(v.trouble) == 0 {
		p.put("<p>", v.words["none"], "</p>\n")
		return
	}
	p.put("<ul>\n")
	for i := range v.trouble {
		r := &v.trouble[i]
		p.put("<li>")
		p.line(r)
		p.put(`<p class="soft">`, v.words["from"], " ")
		p.time(r.from)
		if r.to != "" {
			p.put(" ", v.words["to"], " ")
			p.time(r.to)
		} else {
			p.put(" – ", v.words["ongoing"])
		}
		p.put("</p></li>\n")
	}
	p.put("</ul>\n")
}
