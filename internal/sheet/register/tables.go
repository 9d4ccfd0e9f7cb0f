package register

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
)

var tables = map[faultline.RegisterKind]*table{
	faultline.RegisterCustomers: {needed: []string{"name"}, others: []string{"contact", "mail", "phone", "address", "language"}, row: customerRow},
	faultline.RegisterSites:     {needed: []string{"id"}, others: []string{"name", "customer", "region"}, row: siteRow},
	faultline.RegisterAssets: {others: []string{"site", "position", "serial", "replaces", "model", "manufacturer", "customer", "criticality", "product_kind",
		"purchased", "delivered", "commissioned", "accepted", "firmware", "warranty", "proof_of_purchase"}, row: assetRow},
	faultline.RegisterContracts: {needed: []string{"id"}, others: []string{"name", "customer", "sites", "from", "until", "calendar",
		"response_p1", "response", "answer_p1", "answer", "update_p1", "pause_for_parts", "language"}, row: contractRow},
}

func customerRow(r *row) faultline.RegisterChange {
	f := fields{}
	if name := r.cells["name"]; len(name) > 200 {
		r.problem("name", "has %d bytes: at most 200 are kept", len(name))
	}
	r.text(f, "name", "name")
	for _, column := range []string{"contact", "mail", "phone", "address"} {
		r.text(f, column, column)
	}
	if mail, ok := f["mail"].(string); ok && (strings.Count(mail, "@") != 1 || strings.ContainsAny(mail, " ,;<>")) {
		r.problem("mail", "%q is no mail address: write one, such as desk@example.com", mail)
	}
	r.choice(f, "language", "language", faultline.Languages...)
	return faultline.RegisterChange{ID: r.cells["name"], Fields: f.json()}
}

func siteRow(r *row) faultline.RegisterChange {
	f, id := fields{"id": r.cells["id"]}, r.name("site", "id")
	r.text(f, "name", "name")
	if r.known.sites[id] == nil && f["name"] == nil {
		f["name"] = id
	}
	r.customer(f)
	r.text(f, "region", "region")
	return faultline.RegisterChange{ID: id, Fields: f.json()}
}

// assetRow finds the position by site and position, or by the serial number that stands there.
func assetRow(r *row) faultline.RegisterChange {
	p := r.position()
	if p == nil {
		return faultline.RegisterChange{}
	}
	f := fields{}
	r.exchange(f, p)
	for _, column := range []string{"model", "manufacturer", "firmware", "product_kind"} {
		r.text(f, column, column)
	}
	r.customer(f)
	r.choice(f, "criticality", "criticality", string(faultline.CriticalityA), string(faultline.CriticalityB), string(faultline.CriticalityC))
	for _, column := range []string{"purchased", "delivered", "commissioned", "accepted"} {
		r.date(f, column, column)
	}
	r.warranty(f)
	if ref, ok := r.take(f, "proof_of_purchase", "documents"); ok {
		documents := []faultline.Document{{Kind: "proof_of_purchase", Name: "Proof of purchase", Ref: ref}}
		for _, d := range p.Asset.Documents {
			if d.Kind != "proof_of_purchase" {
				documents = append(documents, d)
			}
		}
		f["documents"] = documents
	} else {
		delete(f, "documents") // "-" must not take the manual away
	}
	return faultline.RegisterChange{Site: p.Site, ID: p.ID, Fields: fields{"asset": f}.json()}
}

func (r *row) position() *faultline.Position {
	site, position, serial := r.cells["site"], r.cells["position"], r.cells["serial"]
	switch {
	case site != "" && position != "":
		if r.known.sites[site] == nil {
			r.problem("site", "there is no site %q: mend it, or import sites first", site)
			return nil
		}
		p := r.known.positions[[2]string{site, position}]
		if p == nil {
			r.problem("position", "site %s has no position %q: mend it, or add the position to a gateway's configuration", site, position)
		}
		return p
	case site != "":
		r.problem("position", "is empty: fill in site and position, or leave both empty and give a known serial number")
	case position != "":
		r.problem("site", "is empty: fill in site and position, or leave both empty and give a known serial number")
	case serial == "":
		r.problem("", "it names no asset: fill in site and position, or a known serial number")
	default:
		at := r.known.serials[serial]
		if len(at) == 1 {
			return at[0]
		}
		if len(at) > 1 {
			r.problem("serial", "%q stands at several positions: fill in site and position", serial)
		} else {
			r.problem("serial", "%q stands nowhere: fill in site and position, where it then is", serial)
		}
	}
	return nil
}

// exchange sets the serial number. Dates and warranty belong to a serial number: another one at the same place is taken
// only where the row says which it replaces, and begins with what the row says of it.
func (r *row) exchange(f fields, p *faultline.Position) {
	serial, was, replaces := r.cells["serial"], p.Asset.Serial, r.cells["replaces"]
	if serial == empties {
		r.problem("serial", "a serial number is not emptied here: leave the cell empty, or write the new one with the old in column replaces")
		return
	}
	if serial == "" || serial == was {
		return
	}
	f["serial"] = serial
	if at := r.known.serials[serial]; len(at) > 0 {
		r.problem("serial", "%q stands at %s/%s already: one unit is in one place", serial, at[0].Site, at[0].ID)
	}
	r.known.serials[serial] = append(r.known.serials[serial], p)
	switch {
	case was == "":
		// the first that is known here
	case replaces != was:
		r.problem("replaces", "%s/%s holds the serial number %q: write it here if %q replaces it; what was known of it is then given up for what the row says", p.Site, p.ID, was, serial)
	default:
		for _, field := range []string{"model", "manufacturer", "product_kind", "purchased", "delivered", "commissioned", "accepted", "firmware", "warranty", "statutory", "documents"} {
			f[field] = nil
		}
	}
}

var (
	periodText = regexp.MustCompile(`^(\d{1,4}) months from (\w+)$`)
	hoursText  = regexp.MustCompile(`^(\d{1,7}) h$`)
)

// warranty reads "12 months from commissioning; 18 months from delivery; 8000 h": a term of the serial number's own.
func (r *row) warranty(f fields) {
	cell, ok := r.take(f, "warranty", "warranty")
	if !ok {
		return
	}
	t := faultline.WarrantyTerm{Periods: []faultline.Period{}}
	for part := range strings.SplitSeq(cell, ";") {
		part = strings.TrimSpace(part)
		if m := periodText.FindStringSubmatch(part); m != nil {
			months, _ := strconv.Atoi(m[1]) // digits
			t.Periods = append(t.Periods, faultline.Period{Months: months, From: m[2]})
		} else if m := hoursText.FindStringSubmatch(part); m != nil {
			t.Hours, _ = strconv.ParseFloat(m[1], 64) // digits
		} else {
			r.problem("warranty", "%q: write parts such as \"12 months from commissioning\" or \"8000 h\", joined by ;", part)
			return
		}
	}
	for _, p := range t.Check() {
		r.problem("warranty", "%s", p)
	}
	f["warranty"] = fields{"product_kind": nil, "periods": t.Periods, "hours": t.Hours} // whole: nothing of another term stays
}

// contractRow makes a new version of a contract wherever it differs.
func contractRow(r *row) faultline.RegisterChange {
	id := r.name("contract", "id")
	f, was := fields{"id": id}, r.known.contracts[id]
	r.text(f, "name", "name")
	r.customer(f)
	r.date(f, "from", "from")
	r.date(f, "until", "until")
	r.sites(f)
	r.text(f, "calendar", "calendar")
	if c, ok := f["calendar"].(string); ok && !r.known.calendars[c] {
		r.problem("calendar", "there is no calendar %q: mend it, or add the calendar to the configuration", c)
	}
	targets := fields{}
	for _, column := range []string{"response_p1", "response", "answer_p1", "answer", "update_p1"} {
		if cell, ok := r.take(targets, column, column); ok {
			d, err := time.ParseDuration(cell)
			if err != nil || d <= 0 {
				r.problem(column, "%q is no time: write it as 4h or 90m", cell)
			}
			targets[column] = d
		}
	}
	if len(targets) > 0 {
		f["targets"] = targets
	}
	if cell, ok := r.take(f, "pause_for_parts", "pause_for_parts"); ok {
		if cell != "yes" && cell != "no" {
			r.problem("pause_for_parts", "%q: use yes or no", cell)
		}
		f["pause_for_parts"] = cell == "yes"
	}
	r.choice(f, "language", "language", faultline.Languages...)
	r.contractWhole(f, was)
	return faultline.RegisterChange{ID: id, Fields: f.json()}
}

// sites are joined by ; or spaces.
func (r *row) sites(f fields) {
	cell, ok := r.take(f, "sites", "sites")
	if !ok {
		return
	}
	list := strings.FieldsFunc(cell, func(c rune) bool { return c == ';' || c == ' ' })
	for _, s := range list {
		if r.known.sites[s] == nil {
			r.problem("sites", "there is no site %q: mend it, or import sites first", s)
		}
	}
	f["sites"] = list
}

// contractWhole looks at the contract as it will be.
func (r *row) contractWhole(f fields, was *faultline.Contract) {
	k := faultline.Contract{}
	if was != nil {
		k = *was
	}
	if v, ok := f["customer"].(string); ok {
		k.Customer = v
	}
	for _, day := range []struct {
		column string
		at     *time.Time
	}{{"from", &k.From}, {"until", &k.Until}} {
		if v, ok := f[day.column].(time.Time); ok {
			*day.at = v
		}
		if day.at.IsZero() && r.cells[day.column] == "" || r.cells[day.column] == empties {
			r.problem(day.column, "is empty: a contract begins and ends")
		}
	}
	if was == nil && f["name"] == nil {
		f["name"] = f["id"]
	}
	if k.Customer == "" || r.cells["customer"] == empties {
		r.problem("customer", "is empty: a contract covers a customer's assets")
	}
	if !k.From.IsZero() && !k.Until.IsZero() && !k.From.Before(k.Until) {
		r.problem("until", "must be after from")
	}
}
