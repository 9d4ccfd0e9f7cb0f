package api

import (
	"net/http"
	"slices"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api/console"
)

// menu is the main navigation. What a role may not open is not shown to it: the table of pages says which that is.
var menu = []console.NavItem{
	{Section: "overview", Href: "/", Text: "Overview"}, {Section: "assets", Href: "/assets", Text: "Assets"}, {Section: "devices", Href: "/devices", Text: "Devices"}, {Section: "alarms", Href: "/alarms", Text: "Alarms"},
	{Section: "tickets", Href: "/tickets", Text: "Tickets"}, {Section: "inspections", Href: "/inspections", Text: "Inspections"}, {Section: "rules", Href: "/rules", Text: "Rules"}, {Section: "figures", Href: "/figures", Text: "Figures"},
	{Section: "data", Href: "/data", Text: "Data"}, {Section: "contracts", Href: "/contracts", Text: "Contracts"}, {Section: "users", Href: "/users", Text: "Users"},
}

// menus of each role, made from the table of pages.
func menus(pages []route) map[faultline.Role][]console.NavItem {
	out := map[faultline.Role][]console.NavItem{}
	for _, role := range faultline.Roles {
		for _, m := range menu {
			if slices.ContainsFunc(pages, func(r route) bool { return r.method == http.MethodGet && r.path == m.Href && r.role.heldBy(role) }) {
				out[role] = append(out[role], m)
			}
		}
	}
	return out
}
