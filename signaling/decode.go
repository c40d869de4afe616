package signaling

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/chatmed/chatmed/internal/consult"
)

// schemaFiles are the JSON Schemas (2020-12) of every message.
//
//go:embed schema/*.json
var schemaFiles embed.FS

// schemaBase is where the schemas' relative references are resolved; nothing is
// ever fetched from it.
const schemaBase = "https://chatmed.site/schema/signaling/1/"

// request is a decoded client message.
type request interface {
	// handle runs on the session's reader.
	handle(s *session, id string)
}

// object is a JSON object that its schema has accepted. Messages are read from
// it by exact key: decoding the text again into a struct would match keys
// without regard to case, and so let in values the schema never saw.
type object map[string]any

func (o object) str(key string) string   { v, _ := o[key].(string); return v }
func (o object) boolean(key string) bool { v, _ := o[key].(bool); return v }

// integer returns 0 for anything that is no small integer.
func (o object) integer(key string) int {
	n, ok := o[key].(json.Number)
	if !ok {
		return 0
	}
	f, err := n.Float64()
	if err != nil || f != float64(int32(f)) {
		return 0
	}
	return int(f)
}

// kinds maps each client message to its reader.
func kinds() map[string]func(object) request {
	return map[string]func(object) request{
		"join":   func(o object) request { return readJoin(o) },
		"resume": func(o object) request { return readResume(o) },
		"ready":  func(object) request { return readyRequest{} },
		"offer":  func(o object) request { return readOffer(o) },
		"media":  func(o object) request { return readMedia(o) },
		"chat":   func(o object) request { return chatRequest{text: o.str("text")} },
		"admit":  func(o object) request { return admitRequest{ticketID: o.str("ticket_id")} },
		"reason": func(o object) request { return reasonRequest{text: o.str("text")} },
		"end":    func(object) request { return endRequest{} },
		"leave":  func(object) request { return leaveRequest{} },
		"ping":   func(object) request { return pingRequest{} },
		"watch":  func(o object) request { return readWatch(o) },
		"eject":  func(o object) request { return ejectRequest{participantID: o.str("participant_id")} },

		"message": func(o object) request {
			return messageRequest{ticketID: o.str("ticket_id"), text: o.str("text")}
		},
		"message_all": func(o object) request { return messageAllRequest{text: o.str("text")} },
		"reorder": func(o object) request {
			return reorderRequest{ticketID: o.str("ticket_id"), position: o.integer("position")}
		},
		"send_back": func(o object) request { return sendBackRequest{ticketID: o.str("ticket_id")} },
		"transfer":  func(o object) request { return readTransfer(o) },
		"decline": func(o object) request {
			return declineRequest{ticketID: o.str("ticket_id"), reason: o.str("reason")}
		},
		"view":     func(o object) request { return readView(o) },
		"stats":    func(o object) request { return readStats(o) },
		"consent":  func(o object) request { return readConsent(o) },
		"record":   func(o object) request { return recordRequest{on: o.boolean("on")} },
		"presence": func(o object) request { return presenceRequest{presence: consult.Presence(o.str("presence"))} },
	}
}

// decoder turns a text frame into a request.
type decoder struct {
	kinds   map[string]func(object) request
	schemas map[string]*jsonschema.Schema
}

func newDecoder() (*decoder, error) {
	c, err := schemaCompiler()
	if err != nil {
		return nil, err
	}
	d := &decoder{kinds: kinds(), schemas: map[string]*jsonschema.Schema{}}
	for typ := range d.kinds {
		if d.schemas[typ], err = c.Compile(schemaBase + "client." + typ + ".json"); err != nil {
			return nil, fmt.Errorf("signaling: schema of %s: %w", typ, err)
		}
	}
	return d, nil
}

// schemaCompiler knows every schema file and loads nothing else.
func schemaCompiler() (*jsonschema.Compiler, error) {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(jsonschema.SchemeURLLoader{})
	names, err := fs.Glob(schemaFiles, "schema/*.json")
	if err != nil {
		return nil, fmt.Errorf("signaling: schemas: %w", err)
	}
	for _, name := range names {
		b, err := schemaFiles.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("signaling: schemas: %w", err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			return nil, fmt.Errorf("signaling: %s: %w", name, err)
		}
		if err := c.AddResource(schemaBase+strings.TrimPrefix(name, "schema/"), doc); err != nil {
			return nil, fmt.Errorf("signaling: %s: %w", name, err)
		}
	}
	return c, nil
}

// unknownType stands for every type we do not know in metrics, so that a client
// cannot make labels.
const unknownType = "unknown"

// decode returns the message, its type and its id. The id is returned with an
// error too, when it could be read, so that the refusal can carry it.
func (d *decoder) decode(data []byte) (m request, typ, id string, err error) {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, unknownType, "", badMessage("The message is not JSON.")
	}
	o, ok := v.(map[string]any)
	if !ok {
		return nil, unknownType, "", badMessage("The message is not a JSON object.")
	}
	if s, ok := o["id"].(string); ok && utf8.RuneCountInString(s) <= 64 {
		id = s
	}
	typ, ok = o["type"].(string)
	if !ok {
		return nil, unknownType, id, badMessage("The message has no type.")
	}
	read, known := d.kinds[typ]
	if !known {
		return nil, unknownType, id, consult.Errorf(consult.BadRequest, consult.ReasonUnknownType, "Unknown message type.")
	}
	if err := d.schemas[typ].Validate(v); err != nil {
		return nil, typ, id, invalid(err)
	}
	return read(object(o)), typ, id, nil
}

func badMessage(msg string) *consult.Error {
	return consult.Errorf(consult.BadRequest, consult.ReasonBadMessage, "%s", msg)
}

// invalid names the fields that break the schema, never their values.
func invalid(err error) *consult.Error {
	e := consult.Errorf(consult.ValidationError, consult.ReasonBadMessage, "The message does not match its schema.")
	var v *jsonschema.ValidationError
	if !errors.As(err, &v) {
		return e
	}
	var fields []string
	var walk func(v *jsonschema.ValidationError)
	walk = func(v *jsonschema.ValidationError) {
		if len(v.Causes) == 0 {
			if path := strings.Join(v.InstanceLocation, "."); path != "" && !slices.Contains(fields, path) {
				fields = append(fields, path)
			}
		}
		for _, c := range v.Causes {
			walk(c)
		}
	}
	walk(v)
	slices.Sort(fields)
	if len(fields) > 8 {
		fields = fields[:8]
	}
	if len(fields) > 0 {
		e.Message += " Check: " + strings.Join(fields, ", ") + "."
	}
	return e
}

// encode writes a server message. Every one is a struct of ours that marshals.
func encode(m any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		return nil
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
