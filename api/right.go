package api

import (
	"slices"

	faultline "github.com/faultline-iot/faultline"
)

// right is what a route asks of its caller: a set of roles, named after the least of them where there is a least.
// Every route names one; docs/security.md shows them all, and a test holds the two together.
type right string

const (
	public     right = "public"     // anybody who reaches the listener
	anyUser    right = "user"       // whoever is logged in: about themselves
	customer   right = "customer"   // reads what a customer may see of their assets
	viewer     right = "viewer"     // reads
	reporter   right = "reporter"   // reports, confirms, rates: customers, and the desk for them
	technician right = "technician" // tickets, visits, records; a technician only their own
	operator   right = "operator"   // alarms and comments
	agent      right = "agent"      // the desk: assignment, merging, contracts with customers
	engineer   right = "engineer"   // rules, limits, equipment
	admin      right = "admin"      // users, audit, configuration
)

// grants says which roles hold a right. public has none: it asks for nobody.
var grants = map[right][]faultline.Role{
	anyUser:    faultline.Roles,
	customer:   faultline.Roles,
	viewer:     {faultline.RoleViewer, faultline.RoleEngineer, faultline.RoleAgent, faultline.RoleTechnician, faultline.RoleAdmin},
	reporter:   {faultline.RoleAgent, faultline.RoleTechnician, faultline.RoleCustomer, faultline.RoleAdmin},
	technician: {faultline.RoleAgent, faultline.RoleTechnician, faultline.RoleAdmin},
	operator:   {faultline.RoleEngineer, faultline.RoleAgent, faultline.RoleTechnician, faultline.RoleAdmin},
	agent:      {faultline.RoleAgent, faultline.RoleAdmin},
	engineer:   {faultline.RoleEngineer, faultline.RoleAdmin},
	admin:      {faultline.RoleAdmin},
}

// heldBy tells whether a role holds the right; nobody known ("") holds only what is public.
func (r right) heldBy(role faultline.Role) bool {
	return r == public || slices.Contains(grants[r], role)
}
