package faultline

import "time"

// Site is a plant or building of a customer.
type Site struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Customer string `json:"customer,omitempty"`
	Region   string `json:"region,omitempty"`
}

// Gateway is an edge node that reads assets at a site.
type Gateway struct {
	ID       string    `json:"id"`
	Site     string    `json:"site"`
	LastSeen time.Time `json:"last_seen"`
	// State is what it said of itself last; nil for one that has said nothing, such as one in the hub's process.
	State *GatewayState `json:"state,omitempty"`
}

// Criticality of an asset to its plant.
type Criticality string

// The criticalities: A stops the plant, B hinders it, C does not.
const (
	CriticalityA Criticality = "A"
	CriticalityB Criticality = "B"
	CriticalityC Criticality = "C"
)

// Impact is 3 for A, 2 for B, 1 for C and for anything else.
func (c Criticality) Impact() int {
	switch c {
	case CriticalityA:
		return 3
	case CriticalityB:
		return 2
	}
	return 1
}

// Position is a place in a plant: telemetry follows it. The asset standing there is Asset.
type Position struct {
	Site    string  `json:"site"`
	ID      string  `json:"id"` // the tag, such as P-101
	Name    string  `json:"name,omitempty"`
	Kind    string  `json:"kind"` // asset kind, such as centrifugal_pump
	Gateway string  `json:"gateway"`
	Profile string  `json:"profile"` // name@version of the device profile
	Address string  `json:"address"` // as people know it; no credentials
	Parent  string  `json:"parent,omitempty"`
	Points  []Point `json:"points"`
	Asset   Asset   `json:"asset"`

	Labels map[string]string `json:"labels,omitempty"` // what people group by: line, building, duty; rules attach to them
}

// Asset is the unit standing at a position: history and coverage follow its serial number.
// Serial number and customer may be unknown: a first device must not need paperwork.
type Asset struct {
	Serial       string      `json:"serial,omitempty"`
	Model        string      `json:"model,omitempty"`
	Manufacturer string      `json:"manufacturer,omitempty"`
	Customer     string      `json:"customer,omitempty"`
	Criticality  Criticality `json:"criticality,omitempty"`
	ProductKind  string      `json:"product_kind,omitempty"` // of warranty terms: electronics, industrial, consumable
	Purchased    time.Time   `json:"purchased,omitzero"`
	Delivered    time.Time   `json:"delivered,omitzero"`
	Commissioned time.Time   `json:"commissioned,omitzero"`
	Accepted     time.Time   `json:"accepted,omitzero"`
	Firmware     string      `json:"firmware,omitempty"`

	Warranty  *WarrantyTerm `json:"warranty,omitempty"`  // agreed for this serial number; nil: the product's
	Statutory *Confirmation `json:"statutory,omitempty"` // what a person said of the region's longer term; nil: not asked yet
	Documents []Document    `json:"documents,omitempty"`
}

// Confirmation is a person's word on something that software must not decide.
type Confirmation struct {
	Confirmed bool      `json:"confirmed"`
	By        string    `json:"by"`
	At        time.Time `json:"at"`
}

// Document of an asset, such as a proof of purchase or a manual.
type Document struct {
	Kind string `json:"kind"` // "proof_of_purchase", "manual" or another word
	Name string `json:"name"`
	Ref  string `json:"ref"` // where it is: an attachment's id, an address or a shelf
}

// Point is one measured quantity of an asset.
type Point struct {
	Name  string `json:"name"`
	Title string `json:"title,omitempty"`
	Unit  string `json:"unit,omitempty"` // UCUM-like, as shown: °C, bar, mm/s, A, kWh, h
	Type  Type   `json:"type"`
	// Texts names the values of an enumeration or, with Bits, the bits of a word.
	Texts map[int64]string `json:"texts,omitempty"`
	Bits  bool             `json:"bits,omitempty"`
	Trend bool             `json:"trend,omitempty"` // shown as a picture on the asset's page
	Write *Writable        `json:"write,omitempty"` // how far it may be written; nil: not at all
}
