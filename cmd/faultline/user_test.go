package main

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestUsersFromTheCommandLine makes users, tokens and links with the databases closed and through the process that runs.
func TestUsersFromTheCommandLine(t *testing.T) {
	file, cfg := centre(t)
	dir := filepath.Dir(file)
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("tuesday-pump-grease\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(want string, fails bool, args ...string) string {
		t.Helper()
		out, err := cli(t, append(args, "-config", file)...)
		text := out
		if err != nil {
			text += err.Error()
		}
		if (err != nil) != fails || !strings.Contains(text, want) {
			t.Errorf("%v: %v, no %q in\n%s", args, err, want, out)
		}
		return out
	}
	check("there is no data yet", true, "user", "list")
	check("role", true, "user", "add", "boss", "-password-file", password)
	check("is no role", true, "user", "add", "boss", "-role", "king", "-password-file", password)
	check("user boss added, role admin", false, "user", "add", "boss", "-role", "admin", "-password-file", password)
	check("boss", false, "user", "list")
	check("last admin", true, "user", "disable", "boss")

	check("put that in place of http://127.0.0.1:0", false, "user", "password", "boss", "-link")
	check("no teams", false, "team")
	check("which", true, "team", "add")
	check("member nobody is no user", true, "team", "add", "pumps", "-members", "nobody")
	check("team pumps added: boss", false, "team", "add", "pumps", "-members", "boss", "-sites", "plant-1", "-display", "Pumps")
	check("team pumps changed: boss", false, "team", "add", "pumps", "-lead", "boss")
	check("boss     boss  plant-1  Pumps", false, "team", "list")
	check("no verb", true, "team", "eat", "pumps")
	check("remove team fans", true, "team", "remove", "fans")
	check("team pumps removed", false, "team", "remove", "pumps")
	n, _ := start(t, cfg, roleIngest, roleRules, roleAPI) // from here on it is asked
	out := check("/join?token=", false, "user", "add", "anna", "-role", "agent", "-sites", "plant-1,plant-2", "-display", "Anna", "-link")
	link := strings.TrimSpace(out[strings.Index(out, "http"):])
	if !strings.HasPrefix(link, n.api.URL()) {
		t.Fatalf("link %s", link)
	}
	resp, err := http.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "You are anna") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	check("already", true, "user", "add", "anna", "-role", "agent", "-link")
	if out := check("plant-1,plant-2", false, "user", "list"); strings.Contains(out, "argon2") || !strings.Contains(out, "never") {
		t.Error(out)
	}
	check("sessions with the old one have ended", false, "user", "password", "anna", "-password-file", password)
	check("role engineer", false, "user", "change", "anna", "-role", "engineer")
	out = check("it is shown this once", false, "token", "add", "anna", "-name", "board", "-role", "viewer", "-days", "7")
	token := regexp.MustCompile(`flt_[A-Z2-7]{52}`).FindString(out)
	ask := func() int {
		r, _ := http.NewRequest(http.MethodGet, n.api.URL()+"/api/v1/tickets?"+url.Values{"limit": {"1"}}.Encode(), nil)
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	if code := ask(); code != http.StatusOK {
		t.Errorf("token: %d", code)
	}
	check("cannot give", true, "token", "add", "anna", "-name", "x", "-role", "admin")
	id := strings.Fields(strings.Split(check("board", false, "token", "list"), "\n")[1])[1]
	check("revoked", false, "token", "revoke", "anna", id)
	if code := ask(); code != http.StatusUnauthorized {
		t.Errorf("a revoked token: %d", code)
	}
	check("disabled and logged out", false, "user", "disable", "anna")

	verified := check("none changed, missing or moved", false, "audit", "verify")
	head := regexp.MustCompile(`\d+:[0-9a-f]{64}`).FindString(verified)
	check("none changed", false, "audit", "verify", "-head", head)
	check("written anew", true, "audit", "verify", "-head", strings.Split(head, ":")[0]+":"+strings.Repeat("0", 64))
	export := check(`"action":"faultline user add"`, false, "audit", "export")
	for what, s := range map[string]string{"password": "tuesday-pump-grease", "hash": "argon2", "token": token, "link": link[strings.Index(link, "=")+1:]} {
		if strings.Contains(export, s) {
			t.Errorf("the audit holds a %s", what)
		}
	}
	copied := filepath.Join(dir, "audit.jsonl")
	for _, c := range []struct{ from, to, want string }{{"", "", "none changed"}, {`"after":`, `"afterwards":`, "was changed"}, {"boss", "evil", "was changed"}} {
		text := export
		if c.from != "" {
			text = strings.Replace(export, c.from, c.to, 1)
		}
		if err := os.WriteFile(copied, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := cli(t, "audit", "verify", "-in", copied, "-head", head)
		if text := out; err == nil != (c.from == "") || err == nil && !strings.Contains(text, c.want) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v %s", c, err, out)
		}
	}
}

func TestPasswordsAreAskedForWhereThereIsATerminal(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := readPassword("", f, io.Discard); err == nil || !strings.Contains(err.Error(), "-link") {
		t.Errorf("%v", err)
	}
	file, _ := centre(t)
	weak := filepath.Join(t.TempDir(), "p")
	if err := os.WriteFile(weak, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := cli(t, "user", "add", "boss", "-role", "admin", "-password-file", weak, "-config", file); err == nil || !strings.Contains(err.Error(), "10 characters") {
		t.Errorf("%v", err)
	}
}
