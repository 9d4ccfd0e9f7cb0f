package profile

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated parts of the documentation")

const docs = "../../docs/profiles.md"

// TestDocsTable keeps the table of shipped profiles.
func TestDocsTable(t *testing.T) {
	s, err := Library()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("\n| Profile | Kind | Manufacturer and model | Points | Source |\n|---|---|---|---|---|\n")
	for _, name := range s.Names() {
		p, _ := s.Get(name)
		fmt.Fprintf(&b, "| `%s` | `%s` | %s %s | %d | %s |\n", p.Name, p.Kind, p.Manufacturer, p.Model, len(p.Points), p.Source)
	}
	page, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, opens := strings.Cut(string(page), "-update -->")
	_, tail, closes := strings.Cut(rest, "<!-- /profiles -->")
	if !opens || !closes {
		t.Fatal("the page has no place for the table")
	}
	want := head + "-update -->" + b.String() + "<!-- /profiles -->" + tail
	if *update {
		if err := os.WriteFile(docs, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(page) {
		t.Error("docs/profiles.md is behind the library: go test ./gateway/profile -run Docs -update")
	}
}

// TestDocsExamples loads the profiles that the page shows, in one set.
func TestDocsExamples(t *testing.T) {
	page, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var files []string
	for i, part := range strings.Split(string(page), "```yaml\n")[1:] {
		text, _, closed := strings.Cut(part, "```")
		if !closed {
			t.Fatal("an open block")
		}
		if !strings.HasPrefix(text, "name:") {
			continue // a configuration: cmd/faultline loads those
		}
		file := filepath.Join(dir, fmt.Sprintf("%d.yaml", i))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	s, err := Load(files...)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := s.Get("acme-rx3-eth"); err != nil || len(files) != 3 || len(p.Points) != 4 {
		t.Errorf("%d examples; %+v %v", len(files), p, err)
	}
}
