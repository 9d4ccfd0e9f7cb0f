// Package console is the web console: pages made from what they are given, with their style sheet and
// script embedded. It does no I/O and decides nothing; every text from outside is escaped by
// html/template, and pictures come from internal/chart, which escapes its own.
package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"path"
	"time"
)

//go:embed template/*.html
var templates embed.FS

//go:embed static
var static embed.FS

// View is the content of one page; its type chooses the template.
type View interface{ template() string }

// File is an embedded file as it is served.
type File struct {
	Type    string
	Content []byte
}

// Console renders pages. It is safe for concurrent use.
type Console struct {
	location *time.Location
	pages    map[string]*template.Template
	files    map[string]File // by name
	mark     string          // changes with the files, so that they may be cached for ever
}

var types = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

// New parses the templates. Times are shown in the location.
func New(location *time.Location) (*Console, error) {
	c := &Console{location: location, pages: map[string]*template.Template{}, files: map[string]File{}}
	sum := sha256.New()
	names, err := fs.Glob(static, "static/*")
	if err != nil {
		return nil, fmt.Errorf("console: list files: %w", err)
	}
	for _, n := range names {
		b, err := static.ReadFile(n)
		if err != nil {
			return nil, fmt.Errorf("console: read %s: %w", n, err)
		}
		sum.Write(b)
		c.files[path.Base(n)] = File{types[path.Ext(n)], b}
	}
	c.mark = hex.EncodeToString(sum.Sum(nil))[:12]

	funcs := template.FuncMap{
		"t": text, "word": Word, "count": count,
		"static": func(name string) string { return "/static/" + c.mark + "/" + name },
	}
	shared, err := template.New("").Funcs(funcs).ParseFS(templates, "template/shell.html", "template/parts.html")
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	for _, v := range views {
		t, err := shared.Clone()
		if err == nil {
			t, err = t.ParseFS(templates, "template/"+v.template()+".html")
		}
		if err != nil {
			return nil, fmt.Errorf("console: page %s: %w", v.template(), err)
		}
		c.pages[v.template()] = t
	}
	return c, nil
}

// File gives an embedded file by its name; ok is false if there is none.
func (c *Console) File(name string) (f File, ok bool) {
	f, ok = c.files[name]
	return f, ok
}

// Render writes a whole page.
func (c *Console) Render(w io.Writer, s Shell, v View) error {
	s.Page = v
	s.Zone = s.Now.In(c.location).Format("MST")
	t := c.pages[v.template()]
	if t == nil {
		return fmt.Errorf("console: no page %q", v.template())
	}
	if err := t.ExecuteTemplate(w, "shell", s); err != nil {
		return fmt.Errorf("console: page %s: %w", v.template(), err)
	}
	return nil
}
