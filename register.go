package faultline

import (
	"encoding/json"
	"time"
)

// Customer is who has contracts and sites. Sites, assets and contracts name it.
type Customer struct {
	Name     string `json:"name"`
	Contact  string `json:"contact,omitempty"` // the person to speak to
	Mail     string `json:"mail,omitempty"`
	Phone    string `json:"phone,omitempty"`
	Address  string `json:"address,omitempty"`
	Language string `json:"language,omitempty"` // of reports: "en" or "zh"; empty: en
}

// RegisterKind is what the register holds.
type RegisterKind string

// The kinds, as people and files name them.
const (
	RegisterCustomers RegisterKind = "customers"
	RegisterSites     RegisterKind = "sites"
	RegisterAssets    RegisterKind = "assets"
	RegisterContracts RegisterKind = "contracts"
)

// RegisterKinds lists them in the order in which they name one another: sites name customers.
var RegisterKinds = []RegisterKind{RegisterCustomers, RegisterSites, RegisterAssets, RegisterContracts}

// Register is all that the desk knows of whom it serves and with what.
type Register struct {
	Customers []Customer
	Sites     []Site
	Positions []Position
	Contracts []Contract // newest versions
	Calendars []Calendar
}

// RegisterChange sets fields of one object of the register, which it adds if there is none. Positions are the
// exception: the configuration of gateways makes them.
type RegisterChange struct {
	Kind   RegisterKind
	Site   string          // of an asset
	ID     string          // name of a customer, id of a site or contract, position of an asset
	Fields json.RawMessage // by their names in JSON; null empties a field, what is left out stays
	Line   int             // of the file that it comes from
}

// RegisterEntry is what people have set of one object. It wins over the configuration, field by field.
type RegisterEntry struct {
	Kind   RegisterKind    `json:"kind"`
	Site   string          `json:"site,omitempty"`
	ID     string          `json:"id"`
	Fields json.RawMessage `json:"fields"`           // as of RegisterChange
	Seed   json.RawMessage `json:"seed,omitempty"`   // what the configuration says of the same fields
	By     string          `json:"by"`               // who changed it last
	At     time.Time       `json:"at"`               //
	Source string          `json:"source,omitempty"` // file and line, or how else
}

// Outcomes of a row of the register.
const (
	RegisterAdded   = "added"
	RegisterChanged = "changed"
	RegisterSame    = "same"
)

// RegisterOutcome is what a change did, or would do, to its object.
type RegisterOutcome struct {
	Row     int           `json:"row"`
	Site    string        `json:"site,omitempty"`
	ID      string        `json:"id"`
	Outcome string        `json:"outcome" about:"added, changed or same"`
	Fields  []FieldChange `json:"fields"`
}

// FieldChange is a field before and after, as JSON; "" is no value.
type FieldChange struct {
	Name   string `json:"name"`
	Before string `json:"before"`
	After  string `json:"after"`
}
