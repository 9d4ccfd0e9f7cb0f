package tsdb

import (
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

func TestAppendForecast(t *testing.T) {
	f := faultline.Forecast{Site: "plant 1", Position: "P-101", Rule: "life", Point: "vibration_de", At: time.Unix(0, 5), P10: 100, P50: 150.5, P90: faultline.Never, Model: "linear", Basis: "a fit", Level: 4, Limit: 7.1}
	want := `faultline_forecasts,point=vibration_de,position=P-101,rule=life,site=plant\ 1 level=4,limit=7.1,p10=100,p50=150.5,model="linear",basis="a fit" 5`
	if got := string(AppendForecast(nil, &f)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	f.None = "nothing degrades"
	want = `faultline_forecasts,point=vibration_de,position=P-101,rule=life,site=plant\ 1 level=4,limit=7.1,none="nothing degrades" 5`
	if got := string(AppendForecast(nil, &f)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
