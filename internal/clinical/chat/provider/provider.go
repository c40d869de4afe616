// Package provider has an outside model word the chat's answers: any endpoint of
// the OpenAI-compatible chat completions protocol. It asks with our own prompt and
// schema, within a time-out, and believes nothing: an answer that is slow, broken
// off, of another form or says what must not be said is an error, and the caller
// falls back to the engine's own answer.
package provider

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/chatmed/chatmed/internal/clinical/chat"
)

// Config is an endpoint.
type Config struct {
	URL     string // the base, such as https://api.example/v1
	Key     string
	Model   string
	Timeout time.Duration // of a whole answer; 0 is 10 s
	Now     func() time.Time
	Client  *http.Client // nil: one of its own
}

const (
	defaultTimeout = 10 * time.Second
	maxAnswer      = 64 << 10 // bytes read of an answer
	failures       = 4        // in a row, until it rests
	restFor        = 30 * time.Second
)

// Provider asks one endpoint. Safe for concurrent use.
type Provider struct {
	cfg     Config
	client  *http.Client
	breaker breaker
}

// ErrResting is of an endpoint that has failed too often and is left alone for a while.
var ErrResting = errors.New("the provider rests after failures")

// New prepares an endpoint; nothing is sent.
func New(cfg Config) *Provider {
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	p := &Provider{cfg: cfg, client: cfg.Client, breaker: breaker{now: cfg.Now, limit: failures, rest: restFor}}
	if p.client == nil {
		p.client = &http.Client{
			// The key must not follow a redirect to somebody else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return p
}

// Name is how answers of the endpoint are marked.
func (p *Provider) Name() string {
	if p.cfg.Model == "" {
		return "provider"
	}
	return "provider:" + p.cfg.Model
}

type request struct {
	Model       string          `json:"model,omitempty"`
	Messages    []message       `json:"messages"`
	Format      json.RawMessage `json:"response_format"`
	Temperature float64         `json:"temperature"`
	MaxTokens   int             `json:"max_tokens"`
	Stream      bool            `json:"stream"`
}

type choices struct {
	Choices []struct {
		Message struct {
			Content string `json:"content"`
		} `json:"message"`
		Delta struct {
			Content string `json:"content"`
		} `json:"delta"`
		FinishReason string `json:"finish_reason"`
	} `json:"choices"`
}

// Answer asks for the wording of an answer. said, when it is not nil, gets the
// response sentence by sentence as it arrives, each one checked; what it got is void
// when an error comes back.
func (p *Provider) Answer(ctx context.Context, b chat.Brief, said func(sentence string)) (*chat.Proposal, error) {
	if !p.breaker.allow() {
		return nil, ErrResting
	}
	out, err := p.answer(ctx, &b, said)
	if err != nil && ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
		p.breaker.giveUp()
	} else {
		p.breaker.done(err == nil)
	}
	return out, err
}

func (p *Provider) answer(ctx context.Context, b *chat.Brief, said func(string)) (*chat.Proposal, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	body, err := json.Marshal(request{
		Model: p.cfg.Model, Messages: prompt(b), Format: schema, Temperature: 0.2, MaxTokens: 900, Stream: said != nil,
	})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(p.cfg.URL, "/")+"/chat/completions", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if p.cfg.Key != "" {
		req.Header.Set("Authorization", "Bearer "+p.cfg.Key)
	}
	res, err := p.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("provider: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("provider: status %d", res.StatusCode)
	}
	from := io.LimitReader(res.Body, 16*maxAnswer)
	var content string
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		content, err = readStream(from, &teller{b: b, said: said})
	} else {
		content, err = readWhole(from)
	}
	if err != nil {
		return nil, fmt.Errorf("provider: %w", err)
	}
	out, err := Parse(content)
	if err != nil {
		return nil, fmt.Errorf("provider: %w", err)
	}
	if err := out.Check(b.Language, b.Level); err != nil {
		return nil, fmt.Errorf("provider: answer not used: %w", err)
	}
	return out, nil
}

var (
	errForm  = errors.New("an answer of another form")
	errBroke = errors.New("the answer broke off")
)

func readWhole(r io.Reader) (string, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if err != nil {
		return "", err
	}
	var c choices
	if len(raw) > maxAnswer || json.Unmarshal(raw, &c) != nil || len(c.Choices) == 0 {
		return "", errForm
	}
	if r := c.Choices[0].FinishReason; r != "stop" && r != "" {
		return "", errBroke
	}
	return c.Choices[0].Message.Content, nil
}

func readStream(r io.Reader, t *teller) (string, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxAnswer)
	var content strings.Builder
	finished := false
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		if !ok {
			continue
		}
		if data = strings.TrimSpace(data); data == "[DONE]" {
			finished = true
			break
		}
		var c choices
		if err := json.Unmarshal([]byte(data), &c); err != nil {
			return "", errForm
		}
		if len(c.Choices) == 0 {
			continue
		}
		content.WriteString(c.Choices[0].Delta.Content)
		if content.Len() > maxAnswer {
			return "", errForm
		}
		if r := c.Choices[0].FinishReason; r == "stop" {
			finished = true
		} else if r != "" {
			return "", errBroke
		}
		if err := t.hear(content.String()); err != nil {
			return "", err
		}
	}
	if err := lines.Err(); err != nil {
		return "", err
	}
	if !finished {
		return "", errBroke
	}
	return content.String(), nil
}

// Parse reads the object that the model answered with. It must be exactly it.
func Parse(content string) (*chat.Proposal, error) {
	dec := json.NewDecoder(strings.NewReader(content))
	dec.DisallowUnknownFields()
	var out struct {
		Response  *string       `json:"response"`
		Urgency   *chat.Urgency `json:"urgency_level"`
		Questions *[]string     `json:"follow_up_questions"`
	}
	if err := dec.Decode(&out); err != nil || out.Response == nil || out.Urgency == nil || out.Questions == nil {
		return nil, errForm
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errForm
	}
	return &chat.Proposal{Response: *out.Response, Urgency: *out.Urgency, Questions: *out.Questions}, nil
}

// teller passes the response on while the object around it arrives.
type teller struct {
	b    *chat.Brief
	said func(string)
	sent int // bytes of the response
}

// hear looks at everything that has come so far.
func (t *teller) hear(content string) error {
	if t.said == nil {
		return nil
	}
	text := partial(content)
	if len(text) <= t.sent {
		return nil
	}
	end := strings.LastIndexAny(text[t.sent:], ".!?؟\n")
	if end < 0 {
		return nil
	}
	end += t.sent
	for end++; end < len(text) && text[end]&0xc0 == 0x80; end++ { // to the end of the mark
	}
	if end >= len(text) { // a dose may go on behind its point
		return nil
	}
	if err := chat.CheckText(text[:end], t.b.Language, t.b.Level); err != nil {
		return err
	}
	t.said(text[t.sent:end])
	t.sent = end
	return nil
}

// partial is the response in an object that is still arriving.
func partial(content string) string {
	_, rest, ok := strings.Cut(content, `"response"`)
	if !ok {
		return ""
	}
	rest = strings.TrimLeft(rest, " \n\t:")
	if !strings.HasPrefix(rest, `"`) {
		return ""
	}
	end := 1
	for end < len(rest) && rest[end] != '"' {
		if rest[end] == '\\' {
			if end+1 >= len(rest) || rest[end+1] == 'u' && end+6 > len(rest) {
				break
			}
			end++
		}
		end++
	}
	var out string
	if json.Unmarshal([]byte(rest[:min(end, len(rest))]+`"`), &out) != nil {
		return ""
	}
	return out
}
