package wire

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Version is the version of requests and answers. An agent and the plugin that it
// installs are of one build; they differ only while one takes the place of another.
const Version = 1

// MaxWait is the longest that a plugin may wait for its answer. Kubelets give up
// on a sandbox after two minutes, unless told otherwise.
const MaxWait = 110 * time.Second

// Op is what a plugin asks for.
type Op string

// What a plugin may ask for. Which fields of the Request each of them needs is said there.
const (
	Add    Op = "add"
	Del    Op = "del"
	Check  Op = "check"
	GC     Op = "gc"
	Status Op = "status"
)

// Request is what a plugin asks.
type Request struct {
	Version int `json:"version"`
	Op      Op  `json:"op"`
	// WaitMillis is for how long an answer is of use.
	WaitMillis int64 `json:"waitMillis"`
	// Pod is whom Add and Check are about.
	Pod *Pod `json:"pod,omitempty"`
	// Keep tells an Add that the pod starts whatever the answer is, so that it is to
	// be enforced for as soon as can be.
	Keep bool `json:"keep,omitempty"`
	// Attachment is what Del ends.
	Attachment *Attachment `json:"attachment,omitempty"`
	// Network and Valid tell GC which attachments of a network there still are.
	Network string       `json:"network,omitempty"`
	Valid   []Attachment `json:"valid,omitempty"`
}

// Wait is for how long an answer is of use.
func (r *Request) Wait() time.Duration { return time.Duration(r.WaitMillis) * time.Millisecond }

// check says what is wrong with the request: fields missing, or too many of them.
func (r *Request) check() error {
	if r.WaitMillis < 0 || r.WaitMillis > MaxWait.Milliseconds() {
		return fmt.Errorf("waitMillis %d: expected 0 to %d", r.WaitMillis, MaxWait.Milliseconds())
	}
	pod, attachment, gc := false, false, false
	switch r.Op {
	case Add, Check:
		pod = true
	case Del:
		attachment = true
	case GC:
		gc = true
	case Status:
	default:
		return fmt.Errorf("op %q: expected add, del, check, gc or status", shorten(string(r.Op)))
	}
	for _, field := range []struct {
		name          string
		there, wanted bool
	}{
		{"pod", r.Pod != nil, pod},
		{"attachment", r.Attachment != nil, attachment},
		{"network", r.Network != "", gc},
		{"valid", r.Valid != nil, gc && r.Valid != nil},
		{"keep", r.Keep, r.Op == Add && r.Keep},
	} {
		switch {
		case field.wanted && !field.there:
			return fmt.Errorf("op %s: %s is missing", r.Op, field.name)
		case !field.wanted && field.there:
			return fmt.Errorf("op %s: %s does not belong to it", r.Op, field.name)
		}
	}
	if r.Pod != nil {
		return r.Pod.Check()
	}
	if r.Attachment != nil {
		return r.Attachment.Check()
	}
	return r.checkGC()
}

func (r *Request) checkGC() error {
	if len(r.Network) > maxName {
		return fmt.Errorf("network %q: has %d characters: at most %d are taken", shorten(r.Network), len(r.Network), maxName)
	}
	if len(r.Valid) > maxValid {
		return fmt.Errorf("valid: names %d attachments: at most %d are taken", len(r.Valid), maxValid)
	}
	for i, a := range r.Valid {
		if err := a.Check(); err != nil {
			return fmt.Errorf("valid[%d]: %w", i, err)
		}
	}
	return nil
}

// Reply is the answer; a nil Error is yes.
type Reply struct {
	Version int      `json:"version"`
	Error   *Refusal `json:"error,omitempty"`
}

// Refusal is why the answer is no.
type Refusal struct {
	Kind    Kind   `json:"kind"`
	Message string `json:"message"`
}

func (r *Refusal) Error() string { return r.Message }

// Kind tells a plugin what to make of a refusal.
type Kind string

// The kinds of refusals.
const (
	// Late: the policy is not in the kernel in time. Another try may succeed.
	Late Kind = "late"
	// Stopping: this agent ends. The next one may know.
	Stopping Kind = "stopping"
	// Invalid: the request is not one, or not of a version that the agent speaks.
	Invalid Kind = "invalid"
	// Failed: the agent could not do it. Another try may succeed.
	Failed Kind = "failed"
)

// Refuse makes a reply of an error.
func Refuse(kind Kind, err error) Reply {
	const most = maxReply / 8 // characters may take six bytes in JSON
	message := err.Error()
	if len(message) > most {
		message = message[:most] + "..."
	}
	return Reply{Version: Version, Error: &Refusal{Kind: kind, Message: message}}
}

// ReadRequest reads and checks a request. An error other than io.EOF, which is an end
// before the first byte, says what is wrong with it.
func ReadRequest(r io.Reader) (*Request, error) {
	line, err := readLine(r, maxLine)
	if err != nil {
		return nil, err
	}
	q := new(Request)
	if err := decode(line, q); err != nil {
		return nil, err
	}
	if err := q.check(); err != nil {
		return nil, err
	}
	return q, nil
}

// readReply reads an answer.
func readReply(r io.Reader) (*Reply, error) {
	line, err := readLine(r, maxReply)
	if err != nil {
		return nil, err
	}
	a := new(Reply)
	if err := decode(line, a); err != nil {
		return nil, err
	}
	return a, nil
}

// Write writes a Request or a Reply.
func Write(w io.Writer, message any) error {
	line, err := json.Marshal(message)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// readLine reads up to a newline, and no more than most bytes.
func readLine(r io.Reader, most int64) ([]byte, error) {
	line, err := bufio.NewReader(io.LimitReader(r, most+1)).ReadBytes('\n')
	switch {
	case err == nil:
		return line, nil
	case int64(len(line)) > most:
		return nil, fmt.Errorf("more than %d bytes", most)
	case errors.Is(err, io.EOF) && len(line) > 0:
		return nil, io.ErrUnexpectedEOF
	}
	return nil, err
}

// decode takes one JSON object with known fields only. The version is looked at
// first: the fields of another version are not to be judged.
func decode(line []byte, into any) error {
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(line, &head); err != nil {
		return err
	}
	if head.Version != Version {
		return fmt.Errorf("version %d of the protocol: expected %d: plugin and agent are of different builds; the agent installs the one that belongs to it", head.Version, Version)
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	return d.Decode(into)
}
