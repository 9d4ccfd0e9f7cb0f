package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/document"
)

// ContractConfig is a service contract. Targets left out are the defaults: 1 h for P1; 24 h and then
// 48 h for the others; a message each hour while P1 lasts.
type ContractConfig struct {
	ID       string    `yaml:"id"`
	Name     string    `yaml:"name"`
	Customer string    `yaml:"customer"`
	Sites    []string  `yaml:"sites"`
	From     time.Time `yaml:"from"`
	Until    time.Time `yaml:"until"`
	Version  int       `yaml:"version"` // raise it with every change: tickets keep the version they were received under

	ResponseP1    time.Duration `yaml:"response_p1"`
	Response      time.Duration `yaml:"response"`
	AnswerP1      time.Duration `yaml:"answer_p1"`
	Answer        time.Duration `yaml:"answer"`
	UpdateP1      time.Duration `yaml:"update_p1"`
	Calendar      string        `yaml:"calendar"` // id of one of the calendars; round the clock if left out
	PauseForParts bool          `yaml:"pause_for_parts"`
	Language      string        `yaml:"language"` // of reports: en or zh
}

// CalendarConfig says when a desk works: "mon-fri: 08:00-12:00 13:00-17:00".
type CalendarConfig struct {
	ID         string            `yaml:"id"`
	Name       string            `yaml:"name"`
	Zone       string            `yaml:"zone"`
	Week       map[string]string `yaml:"week"`       // days to hours
	Exceptions map[string]string `yaml:"exceptions"` // dates to hours, or "closed"
}

// WarrantyConfig says how long products are covered, where no contract or serial number says otherwise.
type WarrantyConfig struct {
	Terms     []faultline.WarrantyTerm  `yaml:"terms"`     // by product kind; the plan's if left out
	Statutory []faultline.StatutoryTerm `yaml:"statutory"` // a region's minimum, which a person confirms
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// days reads "mon", "mon-fri" or "sat,sun".
func days(s string) ([]time.Weekday, bool) {
	var out []time.Weekday
	for _, part := range strings.Split(s, ",") {
		from, to, ranged := strings.Cut(strings.TrimSpace(part), "-")
		if !ranged {
			to = from
		}
		a, b := slices.Index(weekdays, strings.ToLower(from)), slices.Index(weekdays, strings.ToLower(to))
		if a < 0 || b < 0 {
			return nil, false
		}
		for d := a; ; d = (d + 1) % 7 {
			out = append(out, time.Weekday(d))
			if d == b {
				break
			}
		}
	}
	return out, true
}

// hours reads "08:00-12:00 13:00-17:00" or "closed".
func hours(s string) ([]faultline.Interval, bool) {
	if s == "closed" {
		return nil, true
	}
	var out []faultline.Interval
	for _, part := range strings.Fields(strings.ReplaceAll(s, ",", " ")) {
		from, to, ok := strings.Cut(part, "-")
		a, okA := minutes(from)
		b, okB := minutes(to)
		if !ok || !okA || !okB {
			return nil, false
		}
		out = append(out, faultline.Interval{From: a, To: b})
	}
	return out, len(out) > 0
}

func minutes(s string) (int, bool) {
	h, m, ok := strings.Cut(s, ":")
	hour, errH := strconv.Atoi(h)
	minute, errM := strconv.Atoi(m)
	return hour*60 + minute, ok && errH == nil && errM == nil && hour >= 0 && minute >= 0 && minute < 60
}

// calendar makes the domain's calendar; report gets what is wrong, with the key it is wrong at.
func (c *CalendarConfig) calendar(report func(key, format string, args ...any)) faultline.Calendar {
	k := faultline.Calendar{ID: c.ID, Name: c.Name, Zone: c.Zone, Exceptions: map[string][]faultline.Interval{}}
	wrong := false
	add := func(key, format string, args ...any) { wrong = true; report(key, format, args...) }
	for text, open := range c.Week {
		list, ok := days(text)
		if !ok {
			add("week."+text, "use days such as mon, mon-fri or sat,sun")
			continue
		}
		parts, ok := hours(open)
		if !ok {
			add("week."+text, "%q: use hours such as 08:00-12:00 13:00-17:00, or closed", open)
		}
		for _, d := range list {
			if k.Week[d] != nil {
				add("week."+text, "%s stands in two lines", d)
			}
			k.Week[d] = parts
		}
	}
	for day, open := range c.Exceptions {
		parts, ok := hours(open)
		if !ok {
			add("exceptions."+day, "%q: use hours such as 08:00-12:00, or closed", open)
		}
		k.Exceptions[day] = parts
	}
	if !wrong {
		for _, p := range k.Open(time.LoadLocation) {
			report("", "%s", p)
		}
	}
	return k
}

func (c *Config) calendars() []faultline.Calendar {
	out := make([]faultline.Calendar, len(c.Calendars))
	for i := range c.Calendars {
		out[i] = c.Calendars[i].calendar(func(string, string, ...any) {}) // validate has reported
	}
	return out
}

func (c *Config) contracts(madeUp bool) []faultline.Contract {
	out := make([]faultline.Contract, len(c.Contracts))
	for i, k := range c.Contracts {
		out[i] = faultline.Contract{ID: k.ID, Name: k.Name, Customer: k.Customer, Sites: k.Sites, From: k.From, Until: k.Until, Version: max(1, k.Version), MadeUp: madeUp,
			Targets:  faultline.Targets{ResponseP1: k.ResponseP1, Response: k.Response, AnswerP1: k.AnswerP1, Answer: k.Answer, UpdateP1: k.UpdateP1},
			Calendar: k.Calendar, PauseForParts: k.PauseForParts, Language: k.Language}
	}
	return out
}

// warranty terms by product kind.
func (c *Config) warranty() []faultline.WarrantyTerm {
	if len(c.Warranty.Terms) > 0 {
		return c.Warranty.Terms
	}
	return faultline.DefaultTerms
}

func (c *Config) validateDesk(p *document.Problems) {
	known := map[string]bool{}
	for i := range c.Calendars {
		k, at := &c.Calendars[i], fmt.Sprintf("calendars[%d]", i)
		check(p, at+".id", faultline.CheckName("calendar", k.ID))
		if known[k.ID] {
			p.Add(at+".id", "calendar %q is listed twice", k.ID)
		}
		known[k.ID] = true
		k.calendar(func(key, format string, args ...any) { p.Add(strings.TrimSuffix(at+"."+key, "."), format, args...) })
	}
	versions := map[string]bool{}
	for i, k := range c.Contracts {
		at := fmt.Sprintf("contracts[%d]", i)
		check(p, at+".id", faultline.CheckName("contract", k.ID))
		if id := fmt.Sprintf("%s@%d", k.ID, max(1, k.Version)); versions[id] {
			p.Add(at+".version", "contract %s is listed twice", id)
		} else {
			versions[id] = true
		}
		if k.Customer == "" {
			p.Add(at+".customer", "is missing: a contract covers a customer's assets")
		}
		if !k.From.Before(k.Until) {
			p.Add(at+".until", "must be after from")
		}
		if k.Calendar != "" && !known[k.Calendar] {
			p.Add(at+".calendar", "there is no calendar %q", k.Calendar)
		}
		if !slices.Contains([]string{"", "en", "zh"}, k.Language) {
			p.Add(at+".language", "%q: use en or zh", k.Language)
		}
		for name, d := range map[string]time.Duration{"response_p1": k.ResponseP1, "response": k.Response, "answer_p1": k.AnswerP1, "answer": k.Answer, "update_p1": k.UpdateP1} {
			if d < 0 {
				p.Add(at+"."+name, "must not be negative")
			}
		}
	}
	for i := range c.Warranty.Terms {
		t, at := &c.Warranty.Terms[i], fmt.Sprintf("warranty.terms[%d]", i)
		check(p, at+".product_kind", faultline.CheckName("product kind", t.ProductKind))
		for _, problem := range t.Check() {
			p.Add(at, "%s", problem)
		}
	}
	for i := range c.Warranty.Statutory {
		t, at := &c.Warranty.Statutory[i], fmt.Sprintf("warranty.statutory[%d]", i)
		if t.Region == "" {
			p.Add(at+".region", "is missing: as the sites name it")
		}
		for _, problem := range (&faultline.WarrantyTerm{Periods: []faultline.Period{t.Period}}).Check() {
			p.Add(at, "%s", strings.TrimPrefix(problem, "periods[0]."))
		}
	}
}
