package store

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

func aUser(name string, role faultline.Role, sites ...string) faultline.User {
	return faultline.User{Name: name, Role: role, Sites: sites, CreatedAt: t0}
}

func addUser(t testing.TB, s *Store, u faultline.User) faultline.User {
	t.Helper()
	u, err := s.AddUser(t.Context(), u, "hash of "+u.Name)
	must(t, err)
	return u
}

func testUsers(t *testing.T, s *Store) {
	ctx := t.Context()
	has, err := s.HasUsers(ctx)
	must(t, err)
	equal(t, "has users", has, false)
	full := faultline.User{Name: "anna", Display: "Anna 安娜", Mail: "anna@example.com", Phone: "+49 1", Language: "zh", Role: faultline.RoleAgent, Sites: []string{"plant", "clinic"}, CreatedAt: t0, PasswordAt: t0.Add(1)}
	anna := addUser(t, s, full)
	full.Version = 1
	equal(t, "as added", anna, full)
	_, err = s.AddUser(ctx, aUser("anna", faultline.RoleViewer), "")
	wantErr(t, err, faultline.ErrConflict, "anna")
	_, err = s.AddUser(ctx, aUser("cust", faultline.RoleCustomer), "")
	wantErr(t, err, faultline.ErrInvalid, "sites")
	boss := addUser(t, s, aUser("boss", faultline.RoleAdmin))
	users, err := s.Users(ctx)
	must(t, err)
	equal(t, "users", users, []faultline.User{anna, boss})
	has, err = s.HasUsers(ctx)
	must(t, err)
	equal(t, "has users", has, true)
	got, secret, err := s.UserSecret(ctx, "anna")
	must(t, err)
	equal(t, "anna", got, anna)
	equal(t, "secret", secret, "hash of anna")
	_, err = s.User(ctx, "nobody")
	wantErr(t, err, faultline.ErrNotFound, "nobody")

	// Versions, what change may not alter, and what it must not leave.
	changed, err := s.ChangeUser(ctx, "anna", 1, func(u *faultline.User) error {
		u.Name, u.Role, u.Sites = "eve", faultline.RoleEngineer, nil
		return nil
	})
	must(t, err)
	equal(t, "name and version", []any{changed.Name, changed.Version, changed.Role}, []any{"anna", 2, faultline.RoleEngineer})
	_, err = s.ChangeUser(ctx, "anna", 1, func(*faultline.User) error { return nil })
	wantErr(t, err, faultline.ErrConflict, "meanwhile")
	_, err = s.ChangeUser(ctx, "anna", 0, func(u *faultline.User) error { u.Role = "king"; return nil })
	wantErr(t, err, faultline.ErrInvalid, "king")
	for _, change := range []func(*faultline.User){func(u *faultline.User) { u.Disabled = true }, func(u *faultline.User) { u.Role = faultline.RoleViewer }} {
		_, err = s.ChangeUser(ctx, "boss", 0, func(u *faultline.User) error { change(u); return nil })
		wantErr(t, err, ErrLastAdmin)
	}
	// Of two admins who disable each other at once, one stays.
	addUser(t, s, aUser("other", faultline.RoleAdmin))
	names := []string{"boss", "other"}
	failed := 0
	for _, err := range together(2, func(i int) error {
		_, err := s.ChangeUser(ctx, names[i], 0, func(u *faultline.User) error { u.Disabled = true; return nil })
		return err
	}) {
		if err != nil {
			wantErr(t, err, ErrLastAdmin)
			failed++
		}
	}
	equal(t, "refused", failed, 1)
}

func testTeams(t *testing.T, s *Store) {
	ctx := t.Context()
	addUser(t, s, aUser("anna", faultline.RoleTechnician))
	team := faultline.Team{ID: "pumps", Name: "Pumps", Sites: []string{"plant"}, Members: []string{"anna"}, Lead: "anna"}
	_, err := s.PutTeam(ctx, faultline.Team{ID: "x", Name: "X", Members: []string{"nobody"}})
	wantErr(t, err, faultline.ErrInvalid, "nobody")
	_, err = s.PutTeam(ctx, faultline.Team{ID: "x", Name: "X", Members: []string{"anna"}, Lead: "bert"})
	wantErr(t, err, faultline.ErrInvalid, "bert")
	stored, err := s.PutTeam(ctx, team)
	must(t, err)
	team.Version = 1
	equal(t, "stored", stored, team)
	_, err = s.PutTeam(ctx, faultline.Team{ID: "pumps", Name: "Again", Members: []string{}})
	wantErr(t, err, faultline.ErrConflict, "pumps")
	stored.Name = "Pumps and fans"
	stored, err = s.PutTeam(ctx, stored)
	must(t, err)
	teams, err := s.Teams(ctx)
	must(t, err)
	equal(t, "teams", teams, []faultline.Team{stored})
	equal(t, "version", stored.Version, 2)
	must(t, s.As(&Trail{Entry: faultline.AuditEntry{At: t0, By: "boss"}}).RemoveTeam(ctx, "pumps"))
	wantErr(t, s.RemoveTeam(ctx, "pumps"), faultline.ErrNotFound, "pumps")
	teams, err = s.Teams(ctx)
	must(t, err)
	equal(t, "teams left", len(teams), 0)
	entries, _, err := s.AuditEntries(ctx, AuditFilter{})
	must(t, err)
	equal(t, "audited", []any{len(entries), entries[0].Object, entries[0].After, strings.Contains(entries[0].Before, "Pumps and fans")}, []any{1, "team pumps", "", true})
}

func testSessions(t *testing.T, s *Store) {
	ctx := t.Context()
	anna, bert := addUser(t, s, aUser("anna", faultline.RoleAgent)), addUser(t, s, aUser("bert", faultline.RoleAdmin))
	_, _, err := s.SessionUser(ctx, "none")
	wantErr(t, err, faultline.ErrNotFound)
	session := func(id, user string, at time.Time) faultline.Session {
		v := faultline.Session{ID: id, User: user, CreatedAt: at, SeenAt: at, Until: at.Add(time.Hour), From: "192.0.2.7", Agent: "browser"}
		must(t, s.AddSession(ctx, "key-"+id, v))
		return v
	}
	one := session("1", "anna", t0)
	got, u, err := s.SessionUser(ctx, "key-1")
	must(t, err)
	equal(t, "session", got, one)
	equal(t, "user", u, anna)
	must(t, s.SeeSession(ctx, "key-1", t0.Add(time.Minute)))
	must(t, s.SeeSession(ctx, "key-1", t0.Add(-time.Minute))) // a late one changes nothing
	one.SeenAt = t0.Add(time.Minute)
	two := session("2", "anna", t0.Add(time.Second))
	session("3", "bert", t0)
	list, err := s.Sessions(ctx, "anna")
	must(t, err)
	equal(t, "sessions", list, []faultline.Session{one, two})
	must(t, s.EndSession(ctx, "key-2"))
	_, _, err = s.SessionUser(ctx, "key-2")
	wantErr(t, err, faultline.ErrNotFound)

	// A new password ends all sessions but one; disabling ends all; nobody else's end.
	session("4", "anna", t0)
	must(t, s.SetSecret(ctx, "anna", "new hash", "key-4", func(u *faultline.User) { u.PasswordAt = t0.Add(time.Hour) }))
	list, err = s.Sessions(ctx, "anna")
	must(t, err)
	equal(t, "left", list[0].ID, "4")
	equal(t, "left", len(list), 1)
	changed, secret, err := s.UserSecret(ctx, "anna")
	must(t, err)
	equal(t, "secret", []any{secret, changed.PasswordAt, changed.Version}, []any{"new hash", t0.Add(time.Hour), 2})
	_, err = s.ChangeUser(ctx, "anna", 0, func(u *faultline.User) error { u.Disabled = true; return nil })
	must(t, err)
	list, err = s.Sessions(ctx, "anna")
	must(t, err)
	equal(t, "of one who is disabled", len(list), 0)
	session("5", "bert", t0.Add(30*time.Minute))
	n, err := s.DropSessions(ctx, t0.Add(time.Hour), t0.Add(-time.Hour))
	must(t, err)
	equal(t, "dropped", n, 1)
	must(t, s.EndSessions(ctx, "bert", ""))
	list, err = s.Sessions(ctx, "bert")
	must(t, err)
	equal(t, "everywhere", len(list), 0)

	token := faultline.Token{ID: "t1", User: "bert", Name: "Grafana", Role: faultline.RoleViewer, Sites: []string{"plant"}, CreatedAt: t0, ExpiresAt: t0.Add(time.Hour)}
	must(t, s.AddToken(ctx, "key-t1", token))
	must(t, s.UseToken(ctx, "key-t1", t0.Add(time.Minute)))
	token.LastUsedAt = t0.Add(time.Minute)
	kept, u, err := s.TokenUser(ctx, "key-t1")
	must(t, err)
	equal(t, "token", kept, token)
	equal(t, "user", u, bert)
	all, err := s.Tokens(ctx, "")
	must(t, err)
	equal(t, "tokens", all, []faultline.Token{token})
	all, err = s.Tokens(ctx, "anna")
	must(t, err)
	equal(t, "anna's", len(all), 0)
	wantErr(t, s.RevokeToken(ctx, "anna", "t1"), faultline.ErrNotFound)
	must(t, s.RevokeToken(ctx, "bert", "t1"))
	_, _, err = s.TokenUser(ctx, "key-t1")
	wantErr(t, err, faultline.ErrNotFound)
	for i := range maxTokens {
		token.ID = string(rune('A' + i))
		must(t, s.AddToken(ctx, "key-"+token.ID, token))
	}
	token.ID = "one too many"
	wantErr(t, s.AddToken(ctx, "key", token), faultline.ErrRefused, "revoke")
}

func auditAll(t testing.TB, s *Store) []faultline.AuditEntry {
	t.Helper()
	entries, total, err := s.AuditEntries(t.Context(), AuditFilter{})
	must(t, err)
	equal(t, "total", total, len(entries))
	return entries
}

func testAudit(t *testing.T, s *Store) {
	ctx, l := t.Context(), lease(t, s)
	k := create(t, s, l)
	trail := &Trail{Entry: faultline.AuditEntry{At: t0, By: "anna", Role: faultline.RoleAgent, Via: "session", From: "192.0.2.7", Action: "POST /tickets/:id/move", Request: "digest"}}
	as := s.As(trail)
	change := func(t *faultline.Ticket) ([]faultline.TicketEvent, error) {
		t.Status, t.Assignee = faultline.StatusTriaged, "anna"
		return []faultline.TicketEvent{{At: t0, By: "anna", Kind: faultline.EventMoved}}, nil
	}
	_, err := as.ChangeTicket(ctx, k.Number, 1, change)
	must(t, err)
	equal(t, "written", trail.Written, 1)
	// What is rolled back leaves no entry, and what nobody did through a trail neither.
	refused := errors.New("no")
	_, err = as.ChangeTicket(ctx, k.Number, 0, func(*faultline.Ticket) ([]faultline.TicketEvent, error) { return nil, refused })
	wantErr(t, err, refused)
	_, err = s.ChangeTicket(ctx, k.Number, 0, change)
	must(t, err)
	entries := auditAll(t, s)
	equal(t, "entries", len(entries), 1)
	e := entries[0]
	equal(t, "entry", []any{e.N, e.By, e.Change, e.Object, e.Outcome, e.Before, e.Previous, e.At}, []any{int64(1), "anna", "change ticket", "ticket " + k.Number, faultline.OutcomeDone,
		`{"status":"new","version":1}`, "", t0})
	for _, part := range []string{`"assignee":"anna"`, `"status":"triaged"`, `"version":2`} {
		equal(t, part, strings.Contains(e.After, part), true)
	}

	second, err := s.Audit(ctx, faultline.AuditEntry{At: t0.Add(time.Hour), By: "Bert\x00\xff", Action: "POST /login", Outcome: faultline.OutcomeDenied, Detail: "wrong\x00"})
	must(t, err)
	equal(t, "follows", []any{second.N, second.Previous}, []any{int64(2), e.Hash})
	for _, c := range []struct {
		f    AuditFilter
		want int
	}{{AuditFilter{By: "anna"}, 1}, {AuditFilter{Outcome: faultline.OutcomeDenied}, 1}, {AuditFilter{Text: "LOGIN"}, 1}, {AuditFilter{Text: "192.0.2.7"}, 1}, {AuditFilter{From: t0.Add(time.Hour)}, 1}, {AuditFilter{Until: t0.Add(time.Hour)}, 1}, {AuditFilter{By: "nobody"}, 0}} {
		got, total, err := s.AuditEntries(ctx, c.f)
		must(t, err)
		equal(t, "found", []int{len(got), total}, []int{c.want, c.want})
	}
	head, err := s.VerifyAudit(ctx, faultline.AuditHead{}, nil)
	must(t, err)
	equal(t, "head", head, faultline.AuditHead{N: 2, Hash: second.Hash})
	for _, statement := range []string{"UPDATE audit SET doc = '{}'", "DELETE FROM audit"} {
		if _, err := s.write.ExecContext(ctx, statement); err == nil {
			t.Errorf("%s went through", statement)
		}
	}
}

// Many at once make one chain, on both databases.
func testAuditTogether(t *testing.T, s *Store) {
	ctx := t.Context()
	for _, err := range together(8, func(i int) error {
		for n := range 5 {
			if _, err := s.Audit(ctx, faultline.AuditEntry{At: t0.Add(time.Duration(n)), By: string(rune('a' + i)), Action: "x", Outcome: faultline.OutcomeDone}); err != nil {
				return err
			}
		}
		return nil
	}) {
		must(t, err)
	}
	head, err := s.VerifyAudit(ctx, faultline.AuditHead{}, nil)
	must(t, err)
	equal(t, "entries", head.N, int64(40))
}

// A forger with the whole database in hand: what is found, and what only a checkpoint finds.
func testAuditForged(t *testing.T, s *Store) {
	ctx := t.Context()
	for i := range 5 {
		_, err := s.Audit(ctx, faultline.AuditEntry{At: t0.Add(time.Duration(i)), By: "anna", Action: "x", Outcome: faultline.OutcomeDone, Detail: string(rune('a' + i))})
		must(t, err)
	}
	true5, err := s.VerifyAudit(ctx, faultline.AuditHead{}, nil)
	must(t, err)
	for _, trigger := range []string{"audit_keep", "audit_stay"} {
		statement := "DROP TRIGGER IF EXISTS " + trigger
		if s.dialect == &postgresDialect {
			statement += " ON audit"
		}
		_, err := s.write.ExecContext(ctx, statement)
		must(t, err)
	}
	broken := func(statement string, words ...string) {
		t.Helper()
		c := conn{q: s.write, d: s.dialect}
		if _, err := c.exec(ctx, `CREATE TABLE kept AS SELECT * FROM audit`); err != nil {
			t.Fatal(err)
		}
		n, err := c.exec(ctx, statement)
		if err != nil || n == 0 {
			t.Fatalf("%s: %d %v", statement, n, err)
		}
		_, err = s.VerifyAudit(ctx, faultline.AuditHead{}, nil)
		wantErr(t, err, ErrAuditBroken, words...)
		for _, back := range []string{`DELETE FROM audit`, `INSERT INTO audit SELECT * FROM kept`, `DROP TABLE kept`} {
			_, err := c.exec(ctx, back)
			must(t, err)
		}
		_, err = s.VerifyAudit(ctx, true5, nil)
		must(t, err)
	}
	broken(`UPDATE audit SET doc = replace(doc, '"c"', '"z"') WHERE n = 3`, "entry 3", "content")
	broken(`UPDATE audit SET who = 'bert' WHERE n = 2`, "entry 2", "filter")
	broken(`UPDATE audit SET at = at + 1 WHERE n = 4`, "entry 4", "filter")
	broken(`DELETE FROM audit WHERE n = 3`, "entry 3", "missing")
	broken(`DELETE FROM audit WHERE n = 1`, "entry 1", "missing")
	broken(`DELETE FROM audit WHERE n > 3`, "ends with entry 3", "cut off")
	broken(`UPDATE audit SET hash = 'x' WHERE n = 5`, "entry 5")

	// An end that was cut off together with the noted head is found by a checkpoint only.
	_, err = s.write.ExecContext(ctx, `DELETE FROM audit WHERE n > 3`)
	must(t, err)
	_, err = s.write.ExecContext(ctx, `UPDATE audit_head SET n = 3, hash = (SELECT hash FROM audit WHERE n = 3)`)
	must(t, err)
	_, err = s.VerifyAudit(ctx, faultline.AuditHead{}, nil)
	must(t, err)
	_, err = s.VerifyAudit(ctx, true5, nil)
	wantErr(t, err, ErrAuditBroken, "checkpoint", "cut off")
	// So is a chain that goes on differently.
	for range 3 {
		_, err = s.Audit(ctx, faultline.AuditEntry{At: t0, By: "eve", Action: "x", Outcome: faultline.OutcomeDone})
		must(t, err)
	}
	_, err = s.VerifyAudit(ctx, faultline.AuditHead{}, nil)
	must(t, err)
	_, err = s.VerifyAudit(ctx, true5, nil)
	wantErr(t, err, ErrAuditBroken, "entry 5", "checkpoint")
}

func testInvites(t *testing.T, s *Store) {
	ctx := t.Context()
	anna := addUser(t, s, aUser("anna", faultline.RoleAdmin))
	wantErr(t, s.PutInvite(ctx, "k", "nobody", t0), faultline.ErrNotFound, "nobody")
	must(t, s.PutInvite(ctx, "k1", "anna", t0.Add(time.Hour)))
	must(t, s.PutInvite(ctx, "k2", "anna", t0.Add(time.Hour))) // the first is gone
	_, _, err := s.InviteUser(ctx, "k1")
	wantErr(t, err, faultline.ErrNotFound, "invite")
	got, until, err := s.InviteUser(ctx, "k2")
	must(t, err)
	equal(t, "invited", []any{got, until}, []any{anna, t0.Add(time.Hour)})
	_, err = s.AcceptInvite(ctx, "k2", "new hash", t0.Add(time.Hour))
	wantErr(t, err, faultline.ErrNotFound, "anna")
	must(t, s.AddSession(ctx, "session", faultline.Session{ID: "s1", User: "anna", SeenAt: t0, Until: t0.Add(time.Hour)}))
	u, err := s.AcceptInvite(ctx, "k2", "new hash", t0.Add(time.Minute))
	must(t, err)
	_, hash, err := s.UserSecret(ctx, "anna")
	must(t, err)
	equal(t, "hash, time and version", []any{hash, u.PasswordAt, u.Version}, []any{"new hash", t0.Add(time.Minute), 2})
	if sessions, err := s.Sessions(ctx, "anna"); err != nil || len(sessions) != 0 {
		t.Errorf("%v %v", sessions, err)
	}
	_, err = s.AcceptInvite(ctx, "k2", "again", t0.Add(2*time.Minute))
	wantErr(t, err, faultline.ErrNotFound, "invite")
	// A password that is set otherwise ends the invitation; disabled users accept none.
	must(t, s.PutInvite(ctx, "k3", "anna", t0.Add(time.Hour)))
	must(t, s.SetSecret(ctx, "anna", "other", "", func(*faultline.User) {}))
	_, _, err = s.InviteUser(ctx, "k3")
	wantErr(t, err, faultline.ErrNotFound, "invite")
	ben := addUser(t, s, aUser("ben", faultline.RoleAdmin))
	must(t, s.PutInvite(ctx, "k4", "ben", t0.Add(time.Hour)))
	_, err = s.ChangeUser(ctx, "ben", ben.Version, func(u *faultline.User) error { u.Disabled = true; return nil })
	must(t, err)
	_, err = s.AcceptInvite(ctx, "k4", "x", t0)
	wantErr(t, err, faultline.ErrNotFound, "ben")
}
