package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/faultline-iot/faultline/internal/grafana"
)

// grafanaCommand installs dashboards and data sources in a Grafana that is there.
func grafanaCommand(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	address := fs.String("url", "", "`URL` of Grafana")
	token := fs.String("token", "", "`TOKEN` of a service account with the role Admin; better in the environment's FAULTLINE_GRAFANA_TOKEN")
	config := fs.String("config", "", "`FILE` whose profiles, rules and console address to use; default the shipped library")
	console := fs.String("console", "", "`URL` of Faultline's console, where links go")
	influx := fs.String("influx", "", "`URL` of InfluxDB as Grafana reaches it; without it no data source is made for readings")
	database := fs.String("influx-database", "faultline", "its database `NAME`")
	user := fs.String("influx-user", "faultline", "`NAME` for it; the password is read from FAULTLINE_INFLUX_TOKEN")
	prometheus := fs.String("prometheus", "", "`URL` of Prometheus as Grafana reaches it; without it no data source is made for metrics")
	if err := parse(fs, args, 1); err != nil {
		return err
	}
	if fs.Arg(0) != "install" {
		fmt.Fprintln(fs.Output(), "faultline grafana: install is what it can do")
		return errUsage
	}
	s := grafana.Server{URL: *address, Token: cmp.Or(*token, os.Getenv("FAULTLINE_GRAFANA_TOKEN"))}
	if s.URL == "" || s.Token == "" {
		fmt.Fprintln(fs.Output(), "faultline grafana install: name -url, and the token in FAULTLINE_GRAFANA_TOKEN or with -token")
		return errUsage
	}
	list, err := dashboards(*config, *console)
	if err != nil {
		return err
	}
	var sources []grafana.Source
	if *influx != "" {
		sources = append(sources, grafana.Source{UID: "faultline-influx", Name: "Faultline readings", Type: "influxdb", URL: *influx, Database: *database, User: *user, Password: os.Getenv("FAULTLINE_INFLUX_TOKEN")})
	}
	if *prometheus != "" {
		sources = append(sources, grafana.Source{UID: "faultline-prometheus", Name: "Faultline metrics", Type: "prometheus", URL: *prometheus})
	}
	return s.Install(ctx, sources, list, func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) })
}
