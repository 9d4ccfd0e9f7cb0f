package api

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/sheet/register"
)

// TestImportOverTheAPI checks a file, imports it, and shows what wins over the configuration.
func TestImportOverTheAPI(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	who := f.login(t, "anna", faultline.RoleAgent)
	post := func(path, body string) answered { return f.do(http.MethodPost, path, body, who) }

	bad := post(base+"/import/assets?file=list.csv", "site,position,delivered\nplant-3,P-101,31.01.2026\n")
	r := decode[register.Report](t, bad)
	if bad.code != http.StatusUnprocessableEntity || len(r.Problems) != 1 || r.Problems[0].Row != 2 || r.Problems[0].Column != "delivered" || r.File != "list.csv" {
		t.Errorf("%d %+v", bad.code, r)
	}
	table := "site,position,model\nplant-3,P-101,KX 90\n"
	if r := decode[register.Report](t, post(base+"/import/assets?dry_run=true", table)); r.Changed != 1 || !r.DryRun {
		t.Errorf("%+v", r)
	}
	model := func() string {
		return decode[Asset](t, f.do(http.MethodGet, base+"/assets/plant-3/P-101", "", who)).Asset.Model
	}
	if got := model(); got != "KX 80-250" {
		t.Errorf("a dry run set %q", got)
	}
	if r := decode[register.Report](t, post(base+"/import/assets", table)); r.Changed != 1 {
		t.Errorf("%+v", r)
	}
	if got := model(); got != "KX 90" { // at once: the book was forgotten
		t.Errorf("model %q", got)
	}
	all := decode[Page[faultline.RegisterEntry]](t, f.do(http.MethodGet, base+"/register", "", who))
	if all.Total != 1 || all.Items[0].By != "anna" || !strings.Contains(string(all.Items[0].Seed), "KX 80-250") {
		t.Errorf("%+v", all)
	}
	large := post(base+"/import/sites", "id,name\n"+strings.Repeat("quay,"+strings.Repeat("x", 400)+"\n", 200)) // more than other bodies may have
	if large.code != http.StatusUnprocessableEntity || !strings.Contains(large.body, "stands in row 2 already") {
		t.Errorf("%d %.200s", large.code, large.body)
	}
	if a := post(base+"/import/gateways", table); a.code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "there is no table") {
		t.Errorf("%d %s", a.code, a.body)
	}
	if a := f.do(http.MethodPost, base+"/import/assets", table, f.login(t, "local-anna", faultline.RoleAgent, "plant-3")); a.code != http.StatusForbidden {
		t.Errorf("one who sees a site only: %d", a.code)
	}
	f.auditHas(t, "refused", "1 problems in list.csv")
}

func (f *fixture) auditHas(t *testing.T, outcome, detail string) {
	t.Helper()
	a := f.do(http.MethodGet, base+"/audit?outcome="+outcome, "", f.login(t, "auditor", faultline.RoleAdmin))
	if !strings.Contains(a.body, detail) {
		t.Errorf("no %s entry says %q: %s", outcome, detail, a.body)
	}
}

// TestImportPage sends a file by the form.
func TestImportPage(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	send := func(do, table string) answered {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		part, err := w.CreateFormFile("file", "customers <1>.csv")
		must(t, err)
		_, err = part.Write([]byte(table))
		must(t, err)
		must(t, w.WriteField("do", do))
		must(t, w.Close())
		return f.do(http.MethodPost, "/register/customers", b.String(), func(r *http.Request) {
			r.Header.Set("Content-Type", w.FormDataContentType())
			r.Header.Set("Sec-Fetch-Site", "same-origin")
		})
	}
	const table = "name,mail\nNordsee <Foods>,desk@example.com\n"
	for _, c := range []struct {
		do, table string
		code      int
		shows     []string
	}{
		{"check", "name,mail\n<b>,nothing\n", http.StatusUnprocessableEntity, []string{"1 problems", "customers &lt;1&gt;.csv", "no mail address"}},
		{"check", table, http.StatusOK, []string{"Checked only", "1 added", "No customers were imported"}},
		{"import", table, http.StatusOK, []string{"Imported.", "1 added", "<strong>Nordsee &lt;Foods&gt;</strong>", "customers &lt;1&gt;.csv:2"}},
		{"import", table, http.StatusOK, []string{"1 as they were"}},
	} {
		a := send(c.do, c.table)
		if a.code != c.code {
			t.Errorf("%s: %d", c.do, a.code)
		}
		for _, want := range c.shows {
			if !strings.Contains(a.body, want) {
				t.Errorf("%s %.20q: the page does not show %q", c.do, c.table, want)
			}
		}
	}
	if a := f.form("/register/customers", "do=import"); a.code != http.StatusSeeOther {
		t.Errorf("without a file: %d", a.code)
	}
	if a := f.get("/contracts"); !strings.Contains(a.body, `href="/register"`) {
		t.Error("the page of contracts leads nowhere")
	}
}
