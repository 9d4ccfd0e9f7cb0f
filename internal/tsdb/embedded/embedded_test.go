package embedded

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

func open(t testing.TB, c Config) *Engine {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	e, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// call sends a request with the token and gives the status and the body.
func call(t testing.TB, e *Engine, method, path string, body io.Reader, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, e.URL()+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token "+e.Token())
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func ask(t testing.TB, e *Engine, q string, more ...string) string {
	t.Helper()
	v := url.Values{"db": {"db"}, "q": {q}, "epoch": {"ns"}}
	for i := 0; i < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	status, body := call(t, e, http.MethodGet, "/query?"+v.Encode(), nil)
	if status != http.StatusOK {
		t.Fatalf("%s: %d %s", q, status, body)
	}
	return strings.TrimSpace(body)
}

func TestBothWriteInterfaces(t *testing.T) {
	e := open(t, Config{Database: "db"})
	var packed bytes.Buffer
	gz := gzip.NewWriter(&packed)
	fmt.Fprint(gz, "m,s=c v=3 3")
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		path, body string
		header     []string
		status     int
		says       string
	}{
		{"/write?db=db&precision=n", "m,s=a v=1 1", nil, 204, ""},
		{"/api/v2/write?bucket=db&org=x&precision=ns", "m,s=b v=2 2", nil, 204, ""},
		{"/api/v2/write?bucket=db/raw&precision=ns", packed.String(), []string{"Content-Encoding", "gzip"}, 204, ""},
		{"/write?db=db&precision=s", "m,s=d v=4 4", nil, 204, ""},
		{"/write?db=db", "\n# comment\n", nil, 204, ""},
		{"/write?db=db", "m v=5i 5\nm,s=e v=6 6", nil, 400, "field type conflict"},
		{"/write?db=db", "m,s=f v=7 7\nm v= 8", nil, 400, "unable to parse"},
		{"/write?db=db", "what is this", nil, 400, "unable to parse"},
		{"/write?db=db", "x", []string{"Content-Encoding", "gzip"}, 400, "unpack"},
		{"/write?db=nowhere", "m v=1 1", nil, 404, "database not found"},
		{"/write?db=db&rp=nowhere", "m v=1 1", nil, 404, "retention policy not found"},
		{"/write", "m v=1 1", nil, 400, "no database"},
		{"/write?db=db&precision=days", "m v=1 1", nil, 400, "precision"},
	} {
		status, body := call(t, e, http.MethodPost, tc.path, strings.NewReader(tc.body), tc.header...)
		if status != tc.status || !strings.Contains(body, tc.says) {
			t.Errorf("%s %q: %d %s, want %d %q", tc.path, tc.body, status, body, tc.status, tc.says)
		}
	}
	want := `{"results":[{"statement_id":0,"series":[{"name":"m","columns":["time","s","v"],"values":[[1,"a",1],[2,"b",2],[3,"c",3],[6,"e",6],[7,"f",7],[4000000000,"d",4]]}]}]}`
	if got := ask(t, e, "SELECT s,v FROM m"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestLargeBodiesAreRefused(t *testing.T) {
	e := open(t, Config{Database: "db", MaxBody: 1000})
	line := "m v=1 1\n"
	if status, _ := call(t, e, http.MethodPost, "/write?db=db", strings.NewReader(strings.Repeat(line, 200))); status != http.StatusRequestEntityTooLarge {
		t.Errorf("plain: %d", status)
	}
	var packed bytes.Buffer
	gz := gzip.NewWriter(&packed)
	for range 10_000 {
		fmt.Fprint(gz, line)
	}
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	if packed.Len() > 1000 {
		t.Fatalf("%d bytes: the test means to send less than the limit", packed.Len())
	}
	if status, _ := call(t, e, http.MethodPost, "/write?db=db", &packed, "Content-Encoding", "gzip"); status != http.StatusRequestEntityTooLarge {
		t.Errorf("packed: %d", status)
	}
}

func TestQueries(t *testing.T) {
	e := open(t, Config{Database: "db"})
	var b strings.Builder
	for i := range 25_000 { // more than two chunks
		fmt.Fprintf(&b, "m,s=%c v=%di %d\n", 'a'+i%2, i, i+1)
	}
	if status, body := call(t, e, http.MethodPost, "/write?db=db", strings.NewReader(b.String())); status != 204 {
		t.Fatal(body)
	}
	if got, want := ask(t, e, "SELECT count(v),sum(v) FROM m WHERE s = $s", "params", `{"s":"a"}`), `{"results":[{"statement_id":0,"series":[{"name":"m","columns":["time","count","sum"],"values":[[0,12500,156237500]]}]}]}`; got != want {
		t.Errorf("parameters: %s, want %s", got, want)
	}
	var all struct {
		Results []struct {
			Series []struct {
				Tags    map[string]string
				Values  [][]any
				Partial bool
			}
		}
	}
	if err := json.Unmarshal([]byte(ask(t, e, "SELECT v FROM m GROUP BY s")), &all); err != nil {
		t.Fatal(err)
	}
	if s := all.Results[0].Series; len(s) != 2 || len(s[0].Values) != 12500 || len(s[1].Values) != 12500 || s[0].Partial || s[0].Tags["s"] != "a" || s[1].Tags["s"] != "b" {
		t.Errorf("%d series: chunks were not joined to one series for each tag", len(s))
	}
	if n := strings.Count(ask(t, e, "SELECT v FROM m", "chunked", "true", "chunk_size", "5000"), "\n"); n != 4 {
		t.Errorf("chunked: %d breaks between answers, want 4", n)
	}
	if got := ask(t, e, "SELECT v FROM m WHERE time < 3", "epoch", ""); !strings.Contains(got, `"1970-01-01T00:00:00.000000001Z"`) {
		t.Errorf("times without epoch: %s", got)
	}
	if got := ask(t, e, "SELECT ln(v - v) FROM m LIMIT 1"); !strings.Contains(got, "[1,null]") {
		t.Errorf("infinity: %s, want null", got)
	}
	if got := ask(t, e, "SELECT sum(nothing) FROM nowhere; SHOW MEASUREMENTS"); !strings.Contains(got, `{"statement_id":0}`) || !strings.Contains(got, `["m"]`) {
		t.Errorf("two statements: %s", got)
	}
	if got := ask(t, e, "SELECT mean(v) FROM m WHERE time > 0 AND time < 1000000000000 GROUP BY time(1ns)"); !strings.Contains(got, "error") {
		t.Error("a query of too many buckets gives no error")
	}
	status, csv := call(t, e, http.MethodPost, "/query", strings.NewReader(url.Values{"db": {"db"}, "q": {"SELECT v FROM m WHERE time < 2 GROUP BY s"}}.Encode()), "Content-Type", "application/x-www-form-urlencoded", "Accept", "application/csv")
	if want := "name,tags,time,v\nm,s=a,1,0\n"; status != 200 || csv != want {
		t.Errorf("CSV: %d %q, want %q", status, csv, want)
	}
	for q, says := range map[string]string{
		"":          "missing",
		"SELEKT":    "parsing",
		"SELECT $x": "parsing",
		"CREATE CONTINUOUS QUERY q ON db BEGIN SELECT mean(v) INTO x FROM m GROUP BY time(1h) END": "continuous",
	} {
		if status, body := call(t, e, http.MethodPost, "/query?db=db&q="+url.QueryEscape(q), nil); status != 400 || !strings.Contains(body, says) {
			t.Errorf("%q: %d %s, want 400 with %q", q, status, body, says)
		}
	}
}

func TestAnswersAreBounded(t *testing.T) {
	e := open(t, Config{Database: "db", MaxRows: 3})
	if status, body := call(t, e, http.MethodPost, "/write?db=db", strings.NewReader("m,s=a v=1 1\nm,s=a v=1 2\nm,s=b v=1 1\nm,s=b v=1 2\nm,s=c v=1 1")); status != 204 {
		t.Fatal(body)
	}
	got := ask(t, e, "SELECT v FROM m GROUP BY s")
	if n := strings.Count(got, ",1]"); n != 3 || !strings.Contains(got, `"partial":true`) {
		t.Errorf("%d rows in %s, want 3 and partial", n, got)
	}
	if got := ask(t, e, "SELECT v FROM m WHERE s='a'"); strings.Contains(got, "partial") {
		t.Errorf("a whole answer says partial: %s", got)
	}
}

func TestOnlyTheTokenGetsIn(t *testing.T) {
	e := open(t, Config{Database: "db"})
	if len(e.Token()) < 32 {
		t.Fatalf("token of %d characters", len(e.Token()))
	}
	for header, want := range map[string]int{
		"":                       401,
		"Token":                  401,
		"Token wrong":            401,
		"Token " + e.Token():     200,
		"Bearer " + e.Token():    200,
		"token any:" + e.Token(): 200,
	} {
		if status, _ := call(t, e, http.MethodGet, "/query?q=SHOW+DATABASES", nil, "Authorization", header); status != want {
			t.Errorf("%q: %d, want %d", strings.ReplaceAll(header, e.Token(), "<token>"), status, want)
		}
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, e.URL()+"/query?q=SHOW+DATABASES", nil)
	req.SetBasicAuth("anybody", e.Token())
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("basic: %v %v", resp, err)
	}
	resp.Body.Close()
	if status, _ := call(t, e, http.MethodGet, "/query?q=SHOW+DATABASES&p="+e.Token(), nil, "Authorization", ""); status != 200 {
		t.Errorf("parameter p: %d", status)
	}
	for _, path := range []string{"/write?db=db", "/api/v2/write?bucket=db", "/query?q=SHOW+DATABASES", "/api/v2/query"} {
		if status, _ := call(t, e, http.MethodPost, path, strings.NewReader("m v=1"), "Authorization", ""); status != 401 {
			t.Errorf("%s without a token: %d", path, status)
		}
	}
	for path, want := range map[string]int{"/ping": 204, "/ping?verbose=true": 200, "/health": 200, "/ready": 200, "/nowhere": 404} {
		if status, _ := call(t, e, http.MethodGet, path, nil, "Authorization", ""); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
}

func TestTheDirectoryKeepsTokenAndDataAndBelongsToOne(t *testing.T) {
	dir := t.TempDir()
	e, err := Open(Config{Dir: dir, Database: "db", Retention: 48 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprintf("m v=1 %d", time.Now().UnixNano())
	if status, body := call(t, e, http.MethodPost, "/write?db=db", strings.NewReader(line)); status != 204 {
		t.Fatal(body)
	}
	if _, err := Open(Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second engine on the directory: %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "token")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("token file: %v %v", info, err)
	}
	token := e.Token()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	e = open(t, Config{Dir: dir, Database: "db", Retention: 72 * time.Hour})
	if e.Token() != token {
		t.Error("the token changed")
	}
	if got := ask(t, e, "SELECT count(v) FROM m"); !strings.Contains(got, "[[0,1]]") {
		t.Errorf("after reopening: %s", got)
	}
	if got := ask(t, e, "SHOW RETENTION POLICIES"); !strings.Contains(got, `["raw","72h0m0s","24h0m0s",1,true]`) {
		t.Errorf("after reopening with another retention: %s", got)
	}
}

func TestAGivenTokenIsUsed(t *testing.T) {
	dir := t.TempDir()
	e := open(t, Config{Dir: dir, Token: "given"})
	if status, _ := call(t, e, http.MethodGet, "/query?q=SHOW+DATABASES", nil, "Authorization", "Token given"); status != 200 {
		t.Errorf("%d", status)
	}
	if _, err := os.Stat(filepath.Join(dir, "token")); err == nil {
		t.Error("a given token was written to a file")
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]Config{
		"no directory":    {},
		"not a directory": {Dir: file},
		"nowhere.invalid": {Dir: t.TempDir(), Listen: "nowhere.invalid:0"},
		"retention":       {Dir: t.TempDir(), Database: "db", Retention: time.Minute},
	} {
		if e, err := Open(c); err == nil {
			_ = e.Close()
			t.Errorf("%+v opened", c)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestWarningsReachTheLog(t *testing.T) {
	var b bytes.Buffer
	log := zap.New(zapCore{log: slog.New(slog.NewTextHandler(&b, nil))}).With(zap.String("service", "x"))
	log.Info("quiet")
	log.Warn("careful", zap.Int("n", 7))
	log.Error("bad")
	if got := b.String(); strings.Contains(got, "quiet") || !strings.Contains(got, "level=WARN msg=careful service=x n=7") || !strings.Contains(got, "level=ERROR msg=bad") {
		t.Errorf("log: %s", got)
	}
}
