package secret

import (
	"errors"
	"strings"
	"testing"

	"github.com/faultline-iot/faultline"
)

func TestHashAndVerify(t *testing.T) {
	a, b := Hash("correct horse battery"), Hash("correct horse battery")
	if a == b || !strings.HasPrefix(a, "$argon2id$v=19$m=47104,t=1,p=1$") {
		t.Fatalf("%s\n%s", a, b)
	}
	for _, c := range []struct {
		password string
		want     bool
	}{{"correct horse battery", true}, {"correct horse battery ", false}, {"", false}} {
		if got, err := Verify(c.password, a); err != nil || got != c.want {
			t.Errorf("%q: %v %v", c.password, got, err)
		}
	}
}

// The reference implementation's hash of "password" with the salt "somesalt" and these costs.
func TestKnownAnswer(t *testing.T) {
	const known = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if ok, err := Verify("password", known); err != nil || !ok {
		t.Errorf("%v %v", ok, err)
	}
}

func TestForgedHashes(t *testing.T) {
	good := Hash("x")
	for _, s := range []string{"", "$", good + "$", strings.Replace(good, "m=47104", "m=4194304", 1), strings.Replace(good, "t=1", "t=0", 1), strings.Replace(good, "p=1", "p=0", 1),
		strings.Replace(good, "argon2id", "argon2i", 1), strings.Replace(good, "v=19", "v=16", 1), good[:len(good)-30], "$2a$10$abcdefghijklmnopqrstuv"} {
		if ok, err := Verify("x", s); ok || !errors.Is(err, faultline.ErrInvalid) {
			t.Errorf("%q: %v %v", s, ok, err)
		}
	}
}

func TestPasswords(t *testing.T) {
	for _, p := range []string{"", "short", "password123", "Password!2026", "1234567890", "aaaaaaaaaa", "abcdefghijkl", "qwertyuiop1", "anna.anna.1", "adminadmin1", "2026-11-25!!", "welcome2026!", "new\nline in it", "\xff\xfe invalid text"} {
		if err := CheckPassword(p, "anna.anna"); !errors.Is(err, faultline.ErrInvalid) {
			t.Errorf("%q is taken", p)
		}
	}
	for _, p := range []string{"correct horse battery", "Tr0ub4dor&3x", "水泵轴承温度很高请检查一下", "pump-grease-tuesday", "zL9vQ2mW8x"} {
		if err := CheckPassword(p, "anna"); err != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
}

func TestBearer(t *testing.T) {
	token := NewToken()
	for header, want := range map[string]bool{"Bearer " + token: true, "bearer  " + token: true, token: false, "Basic " + token: false, "Bearer": false, "Bearer " + token + "A": false, "Bearer " + strings.ToLower(token): false} {
		if got, ok := ParseBearer(header); ok != want || ok && got != token {
			t.Errorf("%q: %q %v", header, got, ok)
		}
	}
	if Key(token) == Key(NewToken()) || strings.Contains(Key(token), token[4:10]) || !Plausible(New()) || Plausible("x") {
		t.Error("keys")
	}
}

func FuzzHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=47104,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	f.Add("$argon2id$v=19$m=,t=,p=$$")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parse(s)
		if err != nil {
			return
		}
		if h.memory > mostMemory || h.passes > mostPasses || h.lanes > mostLanes || h.lanes == 0 || h.passes == 0 {
			t.Errorf("%q asks for %d KiB", s, h.memory)
		}
		again, err := parse(format(h))
		if err != nil || format(again) != format(h) {
			t.Errorf("%q does not come back", s)
		}
	})
}

func FuzzBearer(f *testing.F) {
	f.Add("Bearer flt_" + New())
	f.Add("Bearer \x00")
	f.Fuzz(func(t *testing.T, s string) {
		if token, ok := ParseBearer(s); ok && (len(token) != 56 || !strings.HasSuffix(strings.TrimSpace(s), token)) {
			t.Errorf("%q gives %q", s, token)
		}
	})
}

func FuzzPassword(f *testing.F) {
	f.Add("password", "admin")
	f.Add("passwordpasswordadmin1", "")
	f.Fuzz(func(t *testing.T, p, user string) {
		if err := CheckPassword(p, user); err != nil && !errors.Is(err, faultline.ErrInvalid) {
			t.Error(err)
		}
	})
}

func BenchmarkHash(b *testing.B) {
	for b.Loop() {
		Hash("correct horse battery")
	}
}
