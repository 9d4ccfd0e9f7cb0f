package document

import (
	"reflect"
	"testing"
)

func TestItems(t *testing.T) {
	const text = `# The file's own words.
rules:
  - id: a # first
    check: &both
      - look
      - listen
    limits: {high: 85}
  # About the second.
  - id: b
    check: *both
others: [x]
`
	got, err := Items([]byte(text), "rules")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"rules:\n  - id: a # first\n    check:\n      - look\n      - listen\n    limits: {high: 85}\n",
		"rules:\n  # About the second.\n  - id: b\n    check:\n      - look\n      - listen\n",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	for _, none := range []string{"", "[1, 2]", "rules: 3", "others: [x]"} {
		if got, err := Items([]byte(none), "rules"); err != nil || len(got) != 0 {
			t.Errorf("%q: got %q, %v", none, got, err)
		}
	}
	if _, err := Items([]byte("rules: [a"), "rules"); err == nil {
		t.Error("broken YAML was taken")
	}
	bomb := "a: &a [x, x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\n" +
		"d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]\nrules: [[*e, *e, *e, *e]]\n"
	if _, err := Items([]byte(bomb), "rules"); err == nil {
		t.Error("a document that unfolds without end was taken")
	}
}

// FuzzItems: whatever text it is, an item that is given is a document again, with itself as its only item.
func FuzzItems(f *testing.F) {
	f.Add("rules:\n  - {id: a, check: &x [b]}\n  - {id: c, check: *x} # d\n")
	f.Add("rules: [a, 'b', \"c\\n\", |-\n d]\n")
	f.Fuzz(func(t *testing.T, text string) {
		items, err := Items([]byte(text), "rules")
		if err != nil {
			return
		}
		for _, item := range items {
			if again, err := Items([]byte(item), "rules"); err != nil || len(again) != 1 {
				t.Errorf("item %q of %q: %q, %v", item, text, again, err)
			}
		}
	})
}
