package compose

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chatmed/chatmed/recording/journal"
)

// TestPlaysInChromium plays what was made in a real browser, over HTTP with ranges,
// and seeks in it.
func TestPlaysInChromium(t *testing.T) {
	modules, err := filepath.Abs("../../web/node_modules/")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, "playwright-core")); err != nil {
		t.Skip("the pages' modules are not installed: make web")
	}
	key := newKey(t)
	second := "color=c=red:s=320x180:r=30,drawbox=x=0:y=0:w=iw:h=ih:color=0x00ff00:t=fill:enable='gte(t,6)'"
	tp := tape{key: key, end: 12 * time.Second, senders: []*sender{
		{Track: doctorTrack("microphone", "audio"), clip: audio(t, "sine=frequency=440:sample_rate=48000", 12)},
		{Track: doctorTrack("camera", "video"), clip: video(t, journal.VP8, second, 12)},
		{Track: patientTrack("camera", "video"), clip: video(t, journal.H264, "color=c=blue:s=320x180:r=30", 12), orient: func(int) int8 { return 1 }},
	}}
	_, paths := composeAll(t, Options{WebM: true, MP4: true, Tracks: true}, key, tp.record(t))
	for _, c := range []struct {
		id          string
		left, right [2][3]int // at 3 and at 9 seconds
	}{
		{"composed-webm", [2][3]int{red, {0, 255, 0}}, [2][3]int{blue, blue}},
		{"composed-mp4", [2][3]int{red, {0, 255, 0}}, [2][3]int{blue, blue}},
		{"track-2", [2][3]int{red, {0, 255, 0}}, [2][3]int{red, {0, 255, 0}}},
		{"track-3", [2][3]int{blue, blue}, [2][3]int{blue, blue}},
	} {
		t.Run(c.id, func(t *testing.T) {
			content, err := os.ReadFile(paths[c.id])
			if err != nil {
				t.Fatal(err)
			}
			ranges := 0
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/" {
					w.Header().Set("Content-Type", "text/html")
					return
				}
				if r.Header.Get("Range") != "" {
					ranges++
				}
				w.Header().Set("Content-Type", map[string]string{".webm": "video/webm", ".mp4": "video/mp4", ".mkv": "video/x-matroska"}[filepath.Ext(paths[c.id])])
				http.ServeContent(w, r, "", began, bytes.NewReader(content))
			}))
			defer srv.Close()
			b := run(t, "node", "testdata/play.mjs", modules+"/", srv.URL+"/file", "9", "3")
			var got struct {
				Duration, Played, Ended float64
				Width, Height           int
				Sought                  []struct {
					At          float64
					Left, Right [3]int
				}
			}
			if err := json.NewDecoder(strings.NewReader(string(b))).Decode(&got); err != nil {
				t.Fatal(err)
			}
			t.Logf("%+v, %d ranges", got, ranges)
			if got.Duration < 11.9 || got.Duration > 12.1 || got.Played < 0.5 || got.Ended < 11.8 {
				t.Errorf("lasts %.2f, played %.2f in a second, ended at %.2f", got.Duration, got.Played, got.Ended)
			}
			for i, s := range got.Sought {
				if !near(s.Left, c.left[1-i]) || !near(s.Right, c.right[1-i]) || s.At < 2.9 {
					t.Errorf("at %.2f: left %v, right %v", s.At, s.Left, s.Right)
				}
			}
			if c.id == "track-3" && (got.Width != 180 || got.Height != 320) {
				t.Errorf("not turned: %d x %d", got.Width, got.Height)
			}
		})
	}
}
