// Package pki is the certificates of an installation: an authority, and what it issues to the hub, to
// gateways, to processes of the centre and to MQTT listeners. A certificate says who its owner is;
// what that owner may do follows from it.
//
// # What a crash at each point leaves
//
// A file is written beside its final name, synced and renamed: it is the old one or the new one. Key and
// certificate are two files, the key first. A crash between them leaves a pair that does not fit:
// processes that run keep the pair they have, new ones do not start and name the file; issuing again mends it.
package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"slices"
	"strings"

	"github.com/faultline-iot/faultline"
)

// Role is what the owner of a certificate is.
type Role string

// The roles. Only gateways are limited to subjects of their own at the hub.
const (
	RoleHub     Role = "hub"     // the listener of the embedded hub, or a node of a NATS cluster
	RoleCentral Role = "central" // a process with the roles ingest, rules or api
	RoleGateway Role = "gateway"
	RoleBroker  Role = "broker" // the MQTT listener of a gateway
)

// Roles lists them all.
var Roles = []Role{RoleHub, RoleCentral, RoleGateway, RoleBroker}

const organisation = "faultline-"

// Identity is whom a certificate was issued to. A gateway has a site.
type Identity struct {
	Role Role
	Name string
	Site string
}

// Check says what is wrong with the identity.
func (id Identity) Check() error {
	if !slices.Contains(Roles, id.Role) {
		return fmt.Errorf("%w: role %q of a certificate", faultline.ErrInvalid, id.Role)
	}
	if err := faultline.CheckName("name", id.Name); err != nil {
		return err
	}
	if id.Role == RoleGateway {
		return faultline.CheckName("site", id.Site)
	}
	if id.Site != "" {
		return fmt.Errorf("%w: only a gateway's certificate names a site", faultline.ErrInvalid)
	}
	return nil
}

// Subject is how a certificate names the identity.
func (id Identity) Subject() pkix.Name {
	n := pkix.Name{CommonName: id.Name, Organization: []string{organisation + string(id.Role)}}
	if id.Site != "" {
		n.OrganizationalUnit = []string{id.Site}
	}
	return n
}

// String is the subject as NATS writes it (RFC 2253), such as "CN=gw-1,OU=north,O=faultline-gateway".
func (id Identity) String() string { return id.Subject().String() }

// Identify reads whom a verified certificate was issued to.
func Identify(c *x509.Certificate) (Identity, error) {
	bad := func() (Identity, error) {
		return Identity{}, fmt.Errorf("%w: certificate of %q was not made for this: its subject is CN=name[,OU=site],O=%srole", faultline.ErrInvalid, c.Subject, organisation)
	}
	if len(c.Subject.Organization) != 1 || len(c.Subject.OrganizationalUnit) > 1 {
		return bad()
	}
	role, ok := strings.CutPrefix(c.Subject.Organization[0], organisation)
	if !ok {
		return bad()
	}
	id := Identity{Role: Role(role), Name: c.Subject.CommonName}
	if len(c.Subject.OrganizationalUnit) == 1 {
		id.Site = c.Subject.OrganizationalUnit[0]
	}
	if err := id.Check(); err != nil {
		return bad()
	}
	return id, nil
}
