package faultline_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/faultline-iot/faultline"

// homes names the one folder of each third-party module that has a home. A folder ending in /... holds
// for what is below it too.
var homes = map[string][]string{
	"github.com/simonvetter/modbus":       {"gateway/modbus", "firmware-sim/..."},
	"github.com/eclipse/paho.mqtt.golang": {"gateway/mqtt", "firmware-sim/..."},
	"github.com/mochi-mqtt/server":        {"gateway/mqtt", "firmware-sim/..."},
	"github.com/nats-io/":                 {"internal/bus/..."},
	"github.com/influxdata/line-protocol": {"internal/bus/..."},
	"github.com/influxdata/":              {"internal/tsdb/..."},
	"github.com/gin-gonic/gin":            {"api/..."},
	"modernc.org/sqlite":                  {"internal/store/..."},
	"github.com/jackc/pgx":                {"internal/store/..."},
	"github.com/pressly/goose":            {"internal/store/..."},
	"go.yaml.in/yaml":                     {"internal/document", "firmware-sim/..."},
	"github.com/expr-lang/expr":           {"rules/kind"},
	"golang.org/x/crypto":                 {"internal/secret"},
}

// pure packages are functions of samples and time.
var pure = []string{"rules/kind", "rules/detect"}

var impure = []string{"os", "net", "net/", "log", "log/", "math/rand", "crypto/rand", "syscall", "io/fs"}

var roles = []string{"gateway", "ingest", "rules", "api"}

// TestImports is the dependency rule: the domain imports the standard library; roles never import
// one another; internal packages import the domain (and internal/document) only; firmware-sim imports
// nothing of ours; a third-party module is used in its one home. Tests may go further, except that
// they too keep the roles apart.
func TestImports(t *testing.T) {
	seen := 0
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && file != "." || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		seen++
		dir := filepath.ToSlash(filepath.Dir(file))
		for _, i := range f.Imports {
			imported, _ := strconv.Unquote(i.Path.Value)
			if why := forbidden(dir, imported, strings.HasSuffix(file, "_test.go")); why != "" {
				t.Errorf("%s imports %s: %s", file, imported, why)
			}
		}
		return nil
	})
	if err != nil || seen < 50 {
		t.Fatalf("read %d files: %v", seen, err)
	}
}

func forbidden(dir, imported string, test bool) string {
	from, _, _ := strings.Cut(dir, "/")
	ours := imported == module || strings.HasPrefix(imported, module+"/")
	if !ours {
		return stranger(dir, imported, test)
	}
	to := strings.TrimPrefix(strings.TrimPrefix(imported, module), "/")
	room, _, _ := strings.Cut(to, "/")
	switch {
	case dir == "." && !test:
		return "the domain imports the standard library only"
	case from == "cmd":
		return ""
	case from == "firmware-sim" && room != "firmware-sim":
		return "firmware-sim imports nothing of ours"
	case room == "firmware-sim" && from != "firmware-sim":
		return "only cmd imports the simulator"
	case room == "cmd" && from != "cmd":
		return "nobody imports cmd"
	case slices.Contains(roles, from) && slices.Contains(roles, room) && from != room:
		return "roles never import one another"
	case from == "internal" && room == "internal" && !test && to != "internal/document" && !within(dir, to) && !within(to, dir):
		return "internal packages import the domain only"
	case from == "internal" && slices.Contains(roles, room):
		return "internal packages do not know the roles"
	}
	return ""
}

func within(inner, outer string) bool { return inner == outer || strings.HasPrefix(inner, outer+"/") }

func stranger(dir, imported string, test bool) string {
	first, _, _ := strings.Cut(imported, "/")
	standard := !strings.Contains(first, ".")
	if slices.Contains(pure, dir) && !test {
		for _, p := range impure {
			if imported == p || strings.HasSuffix(p, "/") && strings.HasPrefix(imported, p) {
				return "pure: a function of samples and time"
			}
		}
	}
	if standard || test {
		return ""
	}
	if dir == "." {
		return "the domain imports the standard library only"
	}
	longest := ""
	for prefix := range homes {
		if strings.HasPrefix(imported, prefix) && len(prefix) > len(longest) {
			longest = prefix
		}
	}
	if longest == "" {
		return ""
	}
	for _, home := range homes[longest] {
		if tree, ok := strings.CutSuffix(home, "/..."); ok && within(dir, tree) || dir == home {
			return ""
		}
	}
	return "its home is " + strings.Join(homes[longest], " and ")
}

// TestForbidden shows that the rule can fail.
func TestForbidden(t *testing.T) {
	for _, c := range []struct {
		dir, imported string
		test, bad     bool
	}{
		{".", module + "/api", false, true},
		{".", "github.com/gin-gonic/gin", false, true},
		{"api", module + "/rules", false, true},
		{"api", module + "/rules", true, true},
		{"gateway/mqtt", module + "/gateway/profile", false, false},
		{"gateway/mqtt", "github.com/nats-io/nats.go", false, true},
		{"internal/store", module + "/internal/bus", false, true},
		{"internal/tsdb", module + "/internal/tsdb/embedded", false, false},
		{"internal/bus", module, false, false},
		{"rules/kind", "os", false, true},
		{"rules/kind", "net/http", false, true},
		{"rules/kind", "math", false, false},
		{"firmware-sim/equipment", module, false, true},
		{"cmd/faultline", module + "/firmware-sim/equipment", false, false},
		{"gateway", module + "/firmware-sim/equipment", true, true},
	} {
		if why := forbidden(c.dir, c.imported, c.test); (why != "") != c.bad {
			t.Errorf("%s imports %s: %q", path.Join(c.dir, "x.go"), c.imported, why)
		}
	}
}
