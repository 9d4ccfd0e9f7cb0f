package equipment

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// where an event came from, such as "faults.yaml:3", for error messages.
func (e *Event) locate(err error) error {
	if e.where == "" {
		return fmt.Errorf("equipment: event %s on %q: %w", e.Fault, e.Device, err)
	}
	return fmt.Errorf("%s: %w", e.where, err)
}

// span is a duration in a script or a request: "20s", "1m30s", or 0.
type span time.Duration

func (s *span) set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 20s or 1m30s", text)
	}
	if d < 0 || d > 100*365*24*time.Hour {
		return fmt.Errorf("duration %q must be from 0 to a hundred years", text)
	}
	*s = span(d)
	return nil
}

func (s *span) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: a duration such as 20s is wanted", n.Line)
	}
	if err := s.set(n.Value); err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	return nil
}

func (s *span) UnmarshalText(text []byte) error { return s.set(string(text)) }

type scriptEntry struct {
	At       span    `yaml:"at" json:"-"`
	Device   string  `yaml:"device" json:"device"`
	Fault    string  `yaml:"fault" json:"fault"`
	Point    string  `yaml:"point" json:"point"`
	Severity float64 `yaml:"severity" json:"severity"`
	Ramp     span    `yaml:"ramp" json:"ramp"`
	Wear     bool    `yaml:"wear" json:"wear"`
	For      span    `yaml:"for" json:"for"`
	Code     int     `yaml:"code" json:"code"`
	Clear    bool    `yaml:"clear" json:"-"`
}

func (s scriptEntry) event(where string) Event {
	return Event{At: time.Duration(s.At), Device: s.Device, Fault: Fault(s.Fault), Point: s.Point, Severity: s.Severity,
		Ramp: time.Duration(s.Ramp), Wear: s.Wear, For: time.Duration(s.For), Code: s.Code, Clear: s.Clear, where: where}
}

func (s scriptEntry) complain() error {
	var errs []error
	if s.Device == "" {
		errs = append(errs, errors.New("device is missing"))
	}
	if s.Fault == "" {
		errs = append(errs, errors.New("fault is missing"))
	}
	if math.IsNaN(s.Severity) || s.Severity < 0 || s.Severity > 1 {
		errs = append(errs, fmt.Errorf("severity %v: must be above 0 and at most 1", s.Severity))
	}
	return errors.Join(errs...)
}

var (
	yamlLine  = regexp.MustCompile(`line (\d+): `)
	yamlField = regexp.MustCompile(`field (\S+) not found in type \S+`)
)

const scriptKeys = "at, device, fault, point, severity, ramp, wear, for, code, clear"

// ParseScript reads a YAML list of events. name stands in errors, which carry the line of
// every mistake as name:line. Devices, faults and points are checked by New, with the same places.
func ParseScript(name string, data []byte) ([]Event, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	var entries []scriptEntry
	if err := dec.Decode(&entries); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, scriptError(name, err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: a script is one YAML document", name)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, scriptError(name, err)
	}
	var errs []error
	events := make([]Event, 0, len(entries))
	for i, s := range entries {
		where := name
		if len(doc.Content) == 1 && i < len(doc.Content[0].Content) {
			where = fmt.Sprintf("%s:%d", name, doc.Content[0].Content[i].Line)
		}
		if err := s.complain(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", where, err))
		}
		events = append(events, s.event(where))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return events, nil
}

// scriptError rewrites what the YAML decoder says into name:line: form.
func scriptError(name string, err error) error {
	var list []string
	var t *yaml.TypeError
	if errors.As(err, &t) {
		list = t.Errors
	} else {
		list = []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	}
	var errs []error
	for _, text := range list {
		text = yamlField.ReplaceAllString(text, "unknown key $1: use "+scriptKeys)
		text = strings.ReplaceAll(text, "[]equipment.scriptEntry", "a list of events")
		text = strings.ReplaceAll(text, "equipment.scriptEntry", "an event")
		where := name
		if m := yamlLine.FindStringSubmatchIndex(text); m != nil && m[0] == 0 {
			where, text = name+":"+text[m[2]:m[3]], text[m[1]:]
		}
		errs = append(errs, fmt.Errorf("%s: %s", where, text))
	}
	return errors.Join(errs...)
}

// ParseEvent reads one event in the form of the command line, "device=P-101
// fault=bearing_wear ramp=20s", with the keys of a script.
func ParseEvent(text string) (Event, error) {
	var s scriptEntry
	for _, word := range strings.Fields(text) {
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			return Event{}, fmt.Errorf("fault %q: %q is not key=value", text, word)
		}
		var err error
		switch key {
		case "at":
			err = s.At.set(value)
		case "device":
			s.Device = value
		case "fault":
			s.Fault = value
		case "point":
			s.Point = value
		case "severity":
			s.Severity, err = strconv.ParseFloat(value, 64)
		case "ramp":
			err = s.Ramp.set(value)
		case "wear":
			s.Wear, err = strconv.ParseBool(value)
		case "for":
			err = s.For.set(value)
		case "code":
			s.Code, err = strconv.Atoi(value)
		case "clear":
			s.Clear, err = strconv.ParseBool(value)
		default:
			err = fmt.Errorf("unknown key: use %s", scriptKeys)
		}
		if err != nil {
			return Event{}, fmt.Errorf("fault %q: %s: %w", text, key, err)
		}
	}
	if err := s.complain(); err != nil {
		return Event{}, fmt.Errorf("fault %q: %w", text, err)
	}
	return s.event("fault " + strconv.Quote(text)), nil
}
