package compose

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// texts are what the composed file says by itself.
type texts struct {
	paused, interrupted, storage, stopped string
	cameraOff, noPicture, soundOnly       string
	screen                                string // %s is a name
}

var languages = map[string]texts{
	"en": {
		paused:      "Recording paused: not everyone present had agreed to it",
		interrupted: "Recording interrupted", storage: "Recording interrupted: the storage failed", stopped: "Recording stopped",
		cameraOff: "Camera off", noPicture: "No picture", soundOnly: "Sound only", screen: "Screen of %s",
	},
	"fr": {
		paused:      "Enregistrement en pause : toutes les personnes présentes n’avaient pas donné leur accord",
		interrupted: "Enregistrement interrompu", storage: "Enregistrement interrompu : le stockage a échoué", stopped: "Enregistrement arrêté",
		cameraOff: "Caméra désactivée", noPicture: "Pas d’image", soundOnly: "Son seul", screen: "Écran de %s",
	},
	"ar": {
		paused:      "التسجيل متوقف مؤقتًا: لم يوافق جميع الحاضرين عليه",
		interrupted: "انقطع التسجيل", storage: "انقطع التسجيل: تعطل التخزين", stopped: "توقف التسجيل",
		cameraOff: "الكاميرا مغلقة", noPicture: "لا توجد صورة", soundOnly: "صوت فقط", screen: "شاشة %s",
	},
}

func textsOf(language string) texts {
	base, _, _ := strings.Cut(strings.ToLower(language), "-")
	if t, ok := languages[base]; ok {
		return t
	}
	return languages["en"]
}

func (t texts) pause(why string) string {
	switch why {
	case consult.RecordingDisk:
		return t.storage
	case consult.RecordingLost:
		return t.interrupted
	case consult.RecordingStopped, consult.RecordingCallEnded:
		return t.stopped
	}
	return t.paused
}

// assHead is the start of a subtitle file (Advanced SubStation Alpha). Encoding
// -1 has libass find a text's direction by itself.
const assHead = `[Script Info]
ScriptType: v4.00+
PlayResX: %d
PlayResY: %d
WrapStyle: 0
ScaledBorderAndShadow: yes

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Name,sans-serif,%[3]d,&H00FFFFFF,&H00FFFFFF,&H60000000,&H60000000,0,0,0,0,100,100,0,0,3,4,0,1,0,0,0,-1
Style: Note,sans-serif,%[3]d,&H00C8C8C8,&H00FFFFFF,&H60000000,&H60000000,0,0,0,0,100,100,0,0,1,1,0,5,0,0,0,-1
Style: Card,sans-serif,%[4]d,&H00FFFFFF,&H00FFFFFF,&H60000000,&H60000000,0,0,0,0,100,100,0,0,1,1,0,5,60,60,0,-1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
`

// captions writes the subtitle file: names, running time, and cards.
func (j *job) captions(show *show, scenes []scene) error {
	f, err := os.OpenFile(filepath.Join(j.dir, captionsFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("compose: %w", err)
	}
	w := bufio.NewWriter(f)
	fmt.Fprintf(w, assHead, j.cfg.Width, j.cfg.Height, max(14, j.cfg.Height/32), max(18, j.cfg.Height/22))
	t := textsOf(j.opt.Language)
	for i := range scenes {
		sc := &scenes[i]
		if sc.pause != nil {
			event(w, sc.span, "Card", fmt.Sprintf(`{\an5\pos(%d,%d)}`, j.cfg.Width/2, j.cfg.Height/2), t.pause(sc.pause.why))
		}
		for k := range sc.tiles {
			tileCaptions(w, show, sc.span, &sc.tiles[k], t)
		}
	}
	clockCaptions(w, show, j.cfg.Width)
	if err := w.Flush(); err != nil {
		_ = f.Close()
		return fmt.Errorf("compose: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("compose: %w", err)
	}
	return nil
}

// tileCaptions writes a tile's name, and why it has no picture.
func tileCaptions(w *bufio.Writer, show *show, in span, t *tile, say texts) {
	name := t.name
	if t.screen {
		name = fmt.Sprintf(say.screen, name)
	}
	clip := fmt.Sprintf(`\clip(%d,%d,%d,%d)\q2`, t.x, t.y, t.x+t.w, t.y+t.h)
	if name != "" {
		event(w, in, "Name", fmt.Sprintf(`{\an1\pos(%d,%d)%s}`, t.x+10, t.y+t.h-10, clip), name)
	}
	at := fmt.Sprintf(`{\an5\pos(%d,%d)%s}`, t.x+t.w/2, t.y+t.h/2, clip)
	if t.video == nil {
		event(w, in, "Note", at, say.soundOnly)
		return
	}
	cuts := []time.Duration{in.from, in.to}
	for i := range t.video.shots {
		cuts = append(cuts, t.video.shots[i].from, t.video.shots[i].to)
	}
	for _, m := range t.video.muted {
		cuts = append(cuts, m.at)
	}
	for _, gap := range pieces(in, cuts) {
		switch {
		case valueAt(t.video.muted, gap.from, false):
			event(w, gap, "Note", at, say.cameraOff)
		case t.video.shot(gap.from) == nil && gap.to-gap.from > 200*time.Millisecond:
			event(w, gap, "Note", at, say.noPicture)
		}
	}
}

// clockCaptions writes the running time since the beginning, each second.
func clockCaptions(w *bufio.Writer, show *show, width int) {
	for at := time.Duration(0); at < show.length; {
		real := show.real(at) - show.from
		next := min(show.length, at+time.Second-real%time.Second)
		for _, p := range show.pieces { // a shortened pause jumps
			if p.at > at && p.at < next {
				next = p.at
			}
		}
		s := int(real / time.Second)
		event(w, span{at, next}, "Name", fmt.Sprintf(`{\an9\pos(%d,%d)}`, width-10, 10),
			fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60))
		at = next
	}
}

func event(w *bufio.Writer, in span, style, tags, text string) {
	if in.to > in.from {
		fmt.Fprintf(w, "Dialogue: 0,%s,%s,%s,,0,0,0,,%s%s\n", assTime(in.from), assTime(in.to), style, tags, assText(text))
	}
}

// assTime has hundredths of a second.
func assTime(d time.Duration) string {
	c := (d + 5*time.Millisecond).Milliseconds() / 10
	return fmt.Sprintf("%d:%02d:%02d.%02d", c/360000, c/6000%60, c/100%60, c%100)
}

// assText makes a text that says nothing but itself: what it could be told apart
// from it by is exchanged for its look-alikes.
func assText(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		switch {
		case r == '\\':
			r = '＼'
		case r == '{':
			r = '｛'
		case r == '}':
			r = '｝'
		case r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == 0x2028 || r == 0x2029 || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069):
			r = ' '
		}
		if n++; n > 120 {
			b.WriteRune('…')
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}
