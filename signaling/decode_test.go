package signaling

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/sfu"
	"github.com/chatmed/chatmed/waitingroom"
)

func testDecoder(t testing.TB) *decoder {
	t.Helper()
	d, err := newDecoder()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDecode(t *testing.T) {
	d := testDecoder(t)
	for _, tt := range []struct {
		in   string
		want request
	}{
		{`{"type":"ping"}`, pingRequest{}},
		{`{"type":"ready","extra":1}`, readyRequest{}},
		{`{"type":"chat","text":"a\u0000b"}`, chatRequest{text: "a\x00b"}},
		{`{"type":"admit","ticket_id":"wt_1"}`, admitRequest{ticketID: "wt_1"}},
		{`{"type":"media","source":"screen","muted":true}`, mediaRequest{source: "screen", muted: true}},
		{`{"type":"message","ticket_id":"wt_1","text":"x"}`, messageRequest{ticketID: "wt_1", text: "x"}},
		{`{"type":"message_all","text":"x"}`, messageAllRequest{text: "x"}},
		{`{"type":"reorder","ticket_id":"wt_1","position":2}`, reorderRequest{ticketID: "wt_1", position: 2}},
		{`{"type":"send_back","ticket_id":"wt_1"}`, sendBackRequest{ticketID: "wt_1"}},
		{`{"type":"transfer","ticket_id":"wt_1","doctor_id":"d","doctor_name":"n"}`,
			transferRequest{ticketID: "wt_1", doctorID: "d", doctorName: "n"}},
		{`{"type":"decline","ticket_id":"wt_1","reason":"r"}`, declineRequest{ticketID: "wt_1", reason: "r"}},
		{`{"type":"reason","text":""}`, reasonRequest{}},
		{`{"type":"reason","text":"chest pain"}`, reasonRequest{text: "chest pain"}},
		{`{"type":"presence","presence":"away"}`, presenceRequest{presence: consult.Away}},
		{`{"type":"eject","participant_id":"prt_1"}`, ejectRequest{participantID: "prt_1"}},
		{`{"type":"view","slots":[{"slot":1,"width":640,"height":360,"visible":true}]}`,
			viewRequest{views: []sfu.View{{Slot: 1, Width: 640, Height: 360, Visible: true}}}},
		{`{"type":"view","slots":[]}`, viewRequest{views: []sfu.View{}}},
		{`{"type":"stats","slots":[{"slot":0,"frozen":0.25}]}`, statsRequest{slots: []sfu.SlotStats{{Frozen: 0.25}}}},
		{`{"type":"watch","protocol":1,"token":"t"}`, watchRequest{protocol: 1, token: "t"}},
		{`{"type":"resume","protocol":1.0,"participant_id":"p","secret":"s"}`, resumeRequest{protocol: 1, participantID: "p", secret: "s"}},
		{`{"type":"join","protocol":1,"token":"t","session_id":"s","instance":"i","role":"doctor","take_over":true}`,
			joinRequest{protocol: 1, token: "t", sessionID: "s", instance: "i", role: consult.Doctor, takeOver: true}},
		{`{"type":"offer","offer":"o","publications":[{"mid":"0","source":"camera","muted":true}],"replace":true}`,
			offerRequest{offer: offered{sdp: "o", intents: []sfu.Intent{{Mid: "0", Source: "camera", Muted: true}}}, replace: true}},
		// Keys count by their exact spelling: what the schema has not seen does not exist.
		{`{"type":"chat","text":"short","TEXT":"` + strings.Repeat("x", 5000) + `"}`, chatRequest{text: "short"}},
	} {
		got, _, _, err := d.decode([]byte(tt.in))
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%.60s: %+v, %v; want %+v", tt.in, got, err, tt.want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	d := testDecoder(t)
	for _, tt := range []struct{ in, reason, id string }{
		{``, consult.ReasonBadMessage, ""},
		{`{"type":"ping"} {}`, consult.ReasonBadMessage, ""},
		{`[1]`, consult.ReasonBadMessage, ""},
		{`{"id":"a"}`, consult.ReasonBadMessage, "a"},
		{`{"type":7,"id":"a"}`, consult.ReasonBadMessage, "a"},
		{`{"type":"shout","id":"a"}`, consult.ReasonUnknownType, "a"},
		{`{"type":"joined","id":"a"}`, consult.ReasonUnknownType, "a"},
		{`{"type":"ping","id":1}`, consult.ReasonBadMessage, ""},
		{`{"type":"ping","id":"` + strings.Repeat("x", 65) + `"}`, consult.ReasonBadMessage, ""},
		{`{"type":"chat","text":"","id":"a"}`, consult.ReasonBadMessage, "a"},
		{`{"type":"chat","text":["x"]}`, consult.ReasonBadMessage, ""},
		{`{"type":"reason","id":"a"}`, consult.ReasonBadMessage, "a"},
		{`{"type":"media","source":"ear","muted":true}`, consult.ReasonBadMessage, ""},
		{`{"type":"join","protocol":"1","token":"t","session_id":"s","instance":"i"}`, consult.ReasonBadMessage, ""},
		{`{"type":"join","protocol":1,"token":"t","session_id":"s","instance":"i","role":"observer"}`, consult.ReasonBadMessage, ""},
		{`{"type":"offer","offer":"o","publications":[{"source":"camera"}]}`, consult.ReasonBadMessage, ""},
		{`{"type":"view","slots":[{"slot":1,"width":-1,"height":1,"visible":true}]}`, consult.ReasonBadMessage, ""},
		{`{"type":"view","slots":[{"slot":64,"width":1,"height":1,"visible":true}]}`, consult.ReasonBadMessage, ""},
		{`{"type":"view"}`, consult.ReasonBadMessage, ""},
		{`{"type":"stats","slots":[{"slot":0,"frozen":1.5}]}`, consult.ReasonBadMessage, ""},
		{`{"type":"admit","ticket_id":"` + strings.Repeat("x", 129) + `"}`, consult.ReasonBadMessage, ""},
	} {
		_, _, id, err := d.decode([]byte(tt.in))
		var e *consult.Error
		if !errors.As(err, &e) || e.Reason != tt.reason || id != tt.id {
			t.Errorf("%.60s: %v with id %q, want %s with %q", tt.in, err, id, tt.reason, tt.id)
		}
	}
}

// A refusal names the fields, never what stood in them.
func TestDecodeKeepsValuesOut(t *testing.T) {
	_, _, _, err := testDecoder(t).decode([]byte(`{"type":"join","protocol":"secret-value","token":["secret-value"],"session_id":"","instance":"i"}`))
	if err == nil || strings.Contains(err.Error(), "secret-value") || !strings.Contains(err.Error(), "protocol, session_id, token") {
		t.Fatal(err)
	}
}

// Every message has a schema, and every schema a message.
func TestSchemasAreComplete(t *testing.T) {
	d := testDecoder(t)
	var want []string
	for typ := range d.kinds {
		want = append(want, "client."+typ+".json")
	}
	for _, m := range []message{
		joinedMessage{}, waitingMessage{}, admittedMessage{}, resumedMessage{}, answerMessage{}, slotsMessage{},
		participantsMessage{}, chatMessage{}, queueMessage{}, watchingMessage{}, sessionMessage{}, endedMessage{}, presenceMessage{},
		movedMessage{}, ackMessage{}, pongMessage{}, errorMessage{}, recordingMessage{},
		speakerMessage{}, sendMessage{}, qualityMessage{},
	} {
		want = append(want, "server."+m.kind()+".json")
	}
	var got []string
	files, err := fs.Glob(schemaFiles, "schema/*.json")
	must(t, err)
	for _, f := range files {
		if name := path.Base(f); name != "parts.json" {
			got = append(got, name)
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("schemas %v\nmessages %v", got, want)
	}
}

// FuzzDecode: whatever comes in, either a message whose fields keep their
// bounds comes out, or a refusal a caller may see.
func FuzzDecode(f *testing.F) {
	d := testDecoder(f)
	for typ := range d.kinds {
		f.Add([]byte(`{"type":"` + typ + `","id":"1"}`))
	}
	for _, m := range []string{
		`{"type":"message","ticket_id":"wt_1","text":"a\u0000\ud800"}`,
		`{"type":"message_all","text":"x"}`,
		`{"type":"reorder","ticket_id":"wt_1","position":1e2}`,
		`{"type":"reorder","ticket_id":"wt_1","position":-1}`,
		`{"type":"send_back","ticket_id":"wt_1"}`,
		`{"type":"transfer","ticket_id":"wt_1","doctor_id":"doc_2","doctor_name":"Dr. Bo"}`,
		`{"type":"decline","ticket_id":"wt_1","reason":""}`,
		`{"type":"presence","presence":"busy"}`,
		`{"type":"eject","participant_id":"prt_1"}`,
		`{"type":"view","slots":[{"slot":0,"width":640,"height":360,"visible":true}]}`,
		`{"type":"stats","slots":[{"slot":0,"concealed":0.1,"frozen":1e-3}]}`,
	} {
		f.Add([]byte(m))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, typ, id, err := d.decode(data)
		if err != nil {
			if e := consult.AsError(err); e.Code == consult.InternalError || e.Reason == "" {
				t.Fatalf("%v", err)
			}
			return
		}
		if _, known := d.kinds[typ]; !known || m == nil || len(id) > 4*64 {
			t.Fatalf("type %q, id %q", typ, id)
		}
		switch m := m.(type) {
		case chatRequest:
			if n := utf8.RuneCountInString(m.text); n < 1 || n > consult.MaxChatLength {
				t.Fatalf("chat of %d characters", n)
			}
		case viewRequest:
			for _, v := range m.views {
				if v.Slot < 0 || v.Slot > 63 || v.Width < 0 || v.Width > 16384 || v.Height < 0 || v.Height > 16384 {
					t.Fatalf("view %+v", v)
				}
			}
		case statsRequest:
			for _, v := range m.slots {
				if !(v.Concealed >= 0 && v.Concealed <= 1) || !(v.Frozen >= 0 && v.Frozen <= 1) {
					t.Fatalf("statistics %+v", v)
				}
			}
		case messageRequest:
			if n := utf8.RuneCountInString(m.text); n < 1 || n > waitingroom.MaxMessage || m.ticketID == "" {
				t.Fatalf("message of %d characters", n)
			}
		case declineRequest:
			if n := utf8.RuneCountInString(m.reason); n > waitingroom.MaxDecline || m.ticketID == "" {
				t.Fatalf("reason of %d characters", n)
			}
		case reorderRequest:
			if m.position < 1 || m.ticketID == "" {
				t.Fatalf("position %d", m.position)
			}
		case transferRequest:
			if n := utf8.RuneCountInString(m.doctorName); n > consult.MaxNameLength || m.doctorID == "" || m.ticketID == "" {
				t.Fatalf("transfer %+v", m)
			}
		case presenceRequest:
			if !m.presence.Valid() {
				t.Fatalf("presence %q", m.presence)
			}
		case joinRequest:
			if m.instance == "" || m.sessionID == "" || utf8.RuneCountInString(m.displayName) > consult.MaxNameLength {
				t.Fatalf("join %+v", m)
			}
		case offerRequest:
			if m.offer.sdp == "" || len(m.offer.intents) > 16 {
				t.Fatalf("offer %+v", m)
			}
		}
	})
}

func TestGranted(t *testing.T) {
	in := []sfu.Intent{{Mid: "0", Source: "microphone"}, {Mid: "1", Source: "camera"}}
	got, err := granted(in, consult.Grants{Publish: []string{"microphone"}})
	if err != nil || len(got) != 1 || got[0].Source != "microphone" {
		t.Fatalf("%v %v", got, err)
	}
	for _, twice := range [][]sfu.Intent{
		{{Mid: "0", Source: "microphone"}, {Mid: "0", Source: "camera"}},
		{{Mid: "0", Source: "camera"}, {Mid: "1", Source: "camera"}},
	} {
		if _, err := granted(twice, consult.DefaultGrants(consult.Doctor)); consult.AsError(err).Reason != consult.ReasonBadOffer {
			t.Fatalf("%v: %v", twice, err)
		}
	}
}

func TestCleanName(t *testing.T) {
	for in, want := range map[string]string{
		"  Ann \t\n Lee ":              "Ann Lee",
		"Eve\u202eroct\u2066oD":        "EveroctoD",
		"\x00\x1b[31mRed":              "[31mRed",
		"می\u200cخواهم":                "می\u200cخواهم",
		"\xff\xfe":                     "",
		strings.Repeat("é", 200) + "x": strings.Repeat("é", consult.MaxNameLength),
	} {
		if got := cleanName(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestOutbox(t *testing.T) {
	o := newOutbox(3, 100)
	msg := func(key, data string) outgoing { return outgoing{key: key, typ: "t", data: []byte(data)} }
	for _, m := range []outgoing{msg("", "1"), msg("slots", "old"), msg("", "2"), msg("slots", "new")} {
		if !o.push(m) {
			t.Fatalf("%s did not fit", m.data)
		}
	}
	if o.push(msg("", "3")) {
		t.Fatal("a fourth message fits into three places")
	}
	for _, want := range []string{"1", "2", "new"} {
		if m, ok := o.pop(); !ok || string(m.data) != want {
			t.Fatalf("%s, want %s", m.data, want)
		}
	}
	if o.push(msg("", strings.Repeat("x", 101))) {
		t.Fatal("101 bytes fit into 100")
	}
	if !o.push(msg("", strings.Repeat("x", 100))) {
		t.Fatal("the bytes of written messages are not given back")
	}
	if !o.close(1000, "done", false) || o.close(1013, "slow", true) {
		t.Fatal("the first close decides")
	}
	if !o.push(msg("", "late")) {
		t.Fatal("a message after the close is dropped silently")
	}
	if m, ok := o.pop(); !ok || len(m.data) != 100 {
		t.Fatal("what was queued before the close is written")
	}
	if code, text, closing := o.closed(); code != 1000 || text != "done" || !closing {
		t.Fatal("close code")
	}
}

func TestConfig(t *testing.T) {
	for _, o := range []string{"", "rooms.test", "ftp://rooms.test", "https://"} {
		if _, err := New(Config{Origins: []string{o}}, Deps{}); err == nil {
			t.Errorf("%q is taken for an origin", o)
		}
	}
	if _, err := os.Stat("../docs/signaling.md"); err != nil {
		t.Error(err)
	}
}
