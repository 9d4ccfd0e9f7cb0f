package api

import (
	"context"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

func TestLook(t *testing.T) {
	if os.Getenv("LOOK") == "" {
		t.Skip()
	}
	f := newFixture(t, func(o *Options) { o.Demo = true })
	noon = time.Now()
	f.populate(t)
	l, err := net.Listen("tcp", os.Getenv("LOOK"))
	if err != nil {
		t.Fatal(err)
	}
	_ = context.Background
	http.Serve(l, f.handler)
}
