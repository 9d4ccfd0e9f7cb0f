package grafana

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Server is a Grafana that dashboards are installed in, through its HTTP API.
type Server struct {
	URL   string
	Token string // of a service account that may edit folders, dashboards and, for data sources, is admin
}

// Source is a data source to be made there.
type Source struct {
	UID, Name, Type, URL     string
	Database, User, Password string // InfluxDB
}

const folder = "faultline"

// Install makes or renews the data sources, the folder and the dashboards in it. Doing it again changes
// nothing. It tells what it did.
func (s *Server) Install(ctx context.Context, sources []Source, list []*Dashboard, told func(format string, args ...any)) error {
	for i := range sources {
		if err := s.source(ctx, &sources[i]); err != nil {
			return err
		}
		told("data source %s at %s", sources[i].Name, sources[i].URL)
	}
	err := s.call(ctx, http.MethodPost, "/api/folders", map[string]string{"uid": folder, "title": "Faultline"})
	if err != nil && !exists(err) {
		return err
	}
	for _, d := range list {
		if err := s.call(ctx, http.MethodPost, "/api/dashboards/db", map[string]any{"dashboard": d, "folderUid": folder, "overwrite": true, "message": "faultline grafana install"}); err != nil {
			return fmt.Errorf("dashboard %q: %w", d.Title, err)
		}
		told("dashboard %s: %s", d.Title, strings.TrimSuffix(s.URL, "/")+"/d/"+d.UID)
	}
	return nil
}

// source makes a data source, or renews the one with its UID.
func (s *Server) source(ctx context.Context, src *Source) error {
	body := map[string]any{"uid": src.UID, "name": src.Name, "type": src.Type, "url": src.URL, "access": "proxy"}
	if src.Type == "influxdb" {
		body["jsonData"] = map[string]any{"dbName": src.Database, "httpMode": "POST", "version": "InfluxQL"}
		if src.Password != "" {
			body["basicAuth"], body["basicAuthUser"] = true, src.User
			body["secureJsonData"] = map[string]string{"basicAuthPassword": src.Password}
		}
	}
	err := s.call(ctx, http.MethodPost, "/api/datasources", body)
	if exists(err) {
		err = s.call(ctx, http.MethodPut, "/api/datasources/uid/"+url.PathEscape(src.UID), body)
	}
	if err != nil {
		return fmt.Errorf("data source %q: %w", src.Name, err)
	}
	return nil
}

// answer of Grafana that is none.
type answerError struct {
	code    int
	message string
}

func (e *answerError) Error() string {
	switch e.code {
	case http.StatusUnauthorized:
		return "Grafana does not know the token (401): make one for a service account with the role Admin"
	case http.StatusForbidden:
		return "the token may not do that (403: " + e.message + "): its service account needs the role Admin"
	}
	return fmt.Sprintf("Grafana answers %d: %s", e.code, e.message)
}

func exists(err error) bool {
	var a *answerError
	return errors.As(err, &a) && (a.code == http.StatusConflict || a.code == http.StatusPreconditionFailed)
}

var client = http.Client{Timeout: 30 * time.Second}

func (s *Server) call(ctx context.Context, method, path string, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("ask Grafana: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(s.URL, "/")+path, bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("ask Grafana: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+s.Token)
	resp, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("ask Grafana: %w", err)
	}
	defer resp.Body.Close()
	var answer struct {
		Message string `json:"message"`
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("ask Grafana: %w", err)
	}
	if resp.StatusCode < 300 {
		return nil
	}
	if json.Unmarshal(text, &answer) != nil || answer.Message == "" {
		answer.Message = strings.TrimSpace(string(text[:min(len(text), 200)]))
	}
	return &answerError{resp.StatusCode, answer.Message}
}
