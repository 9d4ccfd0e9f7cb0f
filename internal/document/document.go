// Package document reads strict YAML: unknown keys, duplicate keys and wrong types are errors, all
// reported at once, each with its file, line and path. What reads the document adds its own findings
// to the same list, so that a person sees every mistake of a file in one go.
package document

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/faultline-iot/faultline"
)

// Document is one YAML document with the place of every key.
type Document struct {
	problems *Problems
	visits   int
	unfolded bool // said that it is too large
}

// Problems gathers what is wrong with a document, in any order.
type Problems struct {
	file  string
	lines map[string]int        // path → line of its key
	nodes map[string]*yaml.Node // path → its value
	list  []Problem
}

// Problem is one mistake: where it is and what is wrong.
type Problem struct {
	File string
	Line int    // 1-based; 0 if the document could not be read at all
	Path string // such as "gateway.devices[2].address"; may be empty
	Text string
}

func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		b.WriteString(":" + strconv.Itoa(p.Line))
	}
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Errors is every problem of a document, in line order.
type Errors struct{ List []Problem }

func (e *Errors) Error() string {
	lines := make([]string, len(e.List))
	for i, p := range e.List {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Decode reads one YAML document into v, a pointer to a struct with yaml tags. On an error v is
// still filled as far as possible and the returned document is usable, so that validation can go on
// and report to the same list; the error returned is then that list so far. An empty document leaves
// v as it is.
func Decode(file string, data []byte, v any) (*Document, error) {
	d := &Document{problems: &Problems{file: file, lines: map[string]int{}, nodes: map[string]*yaml.Node{}}}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var root yaml.Node
	if err := dec.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			return d, nil
		}
		d.syntax(err)
		return d, d.problems.Err()
	}
	var more yaml.Node
	if err := dec.Decode(&more); err == nil {
		d.problems.list = append(d.problems.list, Problem{File: file, Line: more.Line, Text: "a second document: write one document a file"})
	} else if !errors.Is(err, io.EOF) {
		d.syntax(err)
	}
	if len(root.Content) > 0 {
		d.walk(root.Content[0], reflect.TypeOf(v), "", 0)
		if !d.unfolded {
			d.decode(root.Content[0], v)
		}
	}
	return d, d.problems.Err()
}

// decode fills v; the decoder goes on after type errors and lists them.
func (d *Document) decode(n *yaml.Node, v any) {
	err := n.Decode(v)
	var types *yaml.TypeError
	switch {
	case err == nil:
	case errors.As(err, &types):
		for _, e := range types.Errors {
			if strings.Contains(e, "already defined") {
				continue // walk has said so, with its path
			}
			d.typed(e)
		}
	default:
		d.syntax(err)
	}
}

var lineOf = regexp.MustCompile(`(?s)^(?:yaml: )?line (\d+): (.*)$`)

func (d *Document) syntax(err error) {
	p := Problem{File: d.problems.file, Text: strings.TrimPrefix(err.Error(), "yaml: ")}
	if m := lineOf.FindStringSubmatch(err.Error()); m != nil {
		p.Line, _ = strconv.Atoi(m[1])
		p.Text = m[2]
	}
	d.problems.list = append(d.problems.list, p)
}

var cannot = regexp.MustCompile("(?s)^cannot unmarshal !!(\\w+)(?: `(.*)`)? into (.*)$")

var kinds = map[string]string{"str": "text", "int": "a whole number", "float": "a number", "bool": "true or false", "map": "a mapping", "seq": "a list", "null": "nothing"}

// typed rewrites the decoder's "cannot unmarshal !!str `x` into int" for people.
func (d *Document) typed(text string) {
	p := Problem{File: d.problems.file, Text: text}
	if m := lineOf.FindStringSubmatch(text); m != nil {
		p.Line, _ = strconv.Atoi(m[1])
		p.Text = m[2]
	}
	if m := cannot.FindStringSubmatch(p.Text); m != nil {
		p.Path = d.problems.pathOf(p.Line, "!!"+m[1], m[2])
		got := kinds[m[1]]
		if got == "" {
			got = m[1]
		}
		if m[2] != "" {
			got = strconv.Quote(m[2])
		}
		p.Text = fmt.Sprintf("%s, but %s is needed", got, wanted(m[3]))
	}
	d.problems.list = append(d.problems.list, p)
}

func wanted(goType string) string {
	switch {
	case goType == "time.Duration":
		return `a duration such as "10s" or "5m"`
	case goType == "time.Time":
		return "a date such as 2026-01-31 or 2026-01-31T08:00:00Z"
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	case strings.HasPrefix(goType, "map["), strings.Contains(goType, "."), strings.HasPrefix(goType, "struct"):
		return "a mapping"
	case strings.HasPrefix(goType, "int"), strings.HasPrefix(goType, "uint"):
		return "a whole number that fits"
	case strings.HasPrefix(goType, "float"):
		return "a number"
	case goType == "bool":
		return "true or false"
	case goType == "string":
		return "text"
	}
	return goType
}

// Larger and deeper than any document of ours; they bound what aliases of aliases unfold to.
const (
	maxDepth  = 64
	maxVisits = 200_000
)

// walk notes the line of every path and finds unknown and duplicate keys.
func (d *Document) walk(n *yaml.Node, t reflect.Type, path string, depth int) {
	if d.visits++; depth > maxDepth || d.visits > maxVisits {
		if !d.unfolded {
			d.unfolded = true
			d.problems.list = append(d.problems.list, Problem{d.problems.file, n.Line, "", fmt.Sprintf("nested deeper than %d levels, or more than %d values with its aliases unfolded", maxDepth, maxVisits)})
		}
		return
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	d.problems.lines[path], d.problems.nodes[path] = n.Line, n
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch n.Kind {
	case yaml.ScalarNode:
		d.text(n, t, path)
	case yaml.SequenceNode:
		var e reflect.Type
		if t != nil && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) {
			e = t.Elem()
		}
		for i, c := range n.Content {
			d.walk(c, e, fmt.Sprintf("%s[%d]", path, i), depth+1)
		}
	case yaml.MappingNode:
		d.mapping(n, t, path, depth)
	}
}

// text tries a type that reads itself from text. The decoder would stop at its error, without a line;
// so the mistake is noted here and the value left out.
func (d *Document) text(n *yaml.Node, t reflect.Type, path string) {
	if t == nil || t == reflect.TypeFor[time.Time]() || n.ShortTag() == "!!null" {
		return
	}
	u, ok := reflect.New(t).Interface().(encoding.TextUnmarshaler)
	if !ok {
		return
	}
	if err := u.UnmarshalText([]byte(n.Value)); err != nil {
		d.problems.list = append(d.problems.list, Problem{d.problems.file, n.Line, path, plain(err.Error())})
		n.Tag, n.Value, n.Style = "!!null", "", 0
	}
}

// plain drops "invalid: " from an error of the domain: that it is wrong goes without saying.
func plain(text string) string { return strings.TrimPrefix(text, faultline.ErrInvalid.Error()+": ") }

func (d *Document) mapping(n *yaml.Node, t reflect.Type, path string, depth int) {
	var known map[string]reflect.Type
	own := t != nil && reflect.PointerTo(t).Implements(reflect.TypeFor[yaml.Unmarshaler]())
	if t != nil && t.Kind() == reflect.Struct && !own {
		known = fields(t)
	}
	seen := map[string]int{}
	once := make([]*yaml.Node, 0, len(n.Content)) // a duplicate would stop the decoder from reading the mapping
	defer func() { n.Content = once }()
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Tag == "!!merge" {
			once = append(once, k, v)
			d.walk(v, t, path, depth+1)
			continue
		}
		at := join(path, k.Value)
		if first, twice := seen[k.Value]; twice {
			d.problems.list = append(d.problems.list, Problem{d.problems.file, k.Line, at, fmt.Sprintf("written twice, first on line %d", first)})
			continue
		}
		seen[k.Value] = k.Line
		once = append(once, k, v)
		var e reflect.Type
		switch {
		case known != nil:
			var ok bool
			if e, ok = known[k.Value]; !ok {
				d.problems.list = append(d.problems.list, Problem{d.problems.file, k.Line, at, "unknown key" + suggest(k.Value, known)})
				continue
			}
		case t != nil && t.Kind() == reflect.Map:
			e = t.Elem()
		}
		d.walk(v, e, at, depth+1)
		if v.Kind == yaml.ScalarNode {
			d.problems.lines[at] = k.Line
		}
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// fields lists a struct's yaml keys, as the decoder sees them.
func fields(t reflect.Type) map[string]reflect.Type {
	m := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() && !f.Anonymous {
			continue
		}
		name, opts, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case name == "-":
		case strings.Contains(opts, "inline"):
			for k, v := range fields(f.Type) {
				m[k] = v
			}
		case name == "":
			m[strings.ToLower(f.Name)] = f.Type
		default:
			m[name] = f.Type
		}
	}
	return m
}

// suggest names the known key that is nearest, or lists them when there are few.
func suggest(got string, known map[string]reflect.Type) string {
	names := make([]string, 0, len(known))
	for k := range known {
		names = append(names, k)
	}
	sort.Strings(names)
	best, least := "", 3
	for _, k := range names {
		if dist := distance(got, k); dist < least {
			best, least = k, dist
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf(" (did you mean %q?)", best)
	case len(names) == 0:
		return ""
	case len(names) <= 12:
		return "; known here: " + strings.Join(names, ", ")
	}
	return ""
}

// distance is Levenshtein's.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// Problems is the list that validation adds to.
func (d *Document) Problems() *Problems { return d.problems }

// Add notes that what stands at path is wrong. A path that the document does not hold is placed at
// its nearest parent, so that a missing key is reported at the mapping that should hold it.
func (p *Problems) Add(path, format string, args ...any) {
	p.list = append(p.list, Problem{p.file, p.line(path), path, plain(fmt.Sprintf(format, args...))})
}

func (p *Problems) line(path string) int {
	for {
		if l, ok := p.lines[path]; ok {
			return l
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return max(p.lines[""], 1)
		}
		path = path[:i]
	}
}

// pathOf finds the value that the decoder complains about: the decoder knows its line, tag and (cut
// short) text only. The first in the order of paths is taken where several are alike.
func (p *Problems) pathOf(line int, tag, text string) (best string) {
	text = strings.TrimSuffix(text, "...")
	for path, n := range p.nodes {
		if n.Line == line && n.ShortTag() == tag && (n.Kind != yaml.ScalarNode || strings.HasPrefix(n.Value, text)) && (best == "" || path < best) {
			best = path
		}
	}
	return best
}

// Len is the number of problems so far.
func (p *Problems) Len() int { return len(p.list) }

// Err is nil if nothing is wrong, else *Errors with everything, in line order.
func (p *Problems) Err() error {
	if len(p.list) == 0 {
		return nil
	}
	list := append([]Problem(nil), p.list...)
	sort.SliceStable(list, func(i, j int) bool { return list[i].Line < list[j].Line })
	return &Errors{List: list}
}
