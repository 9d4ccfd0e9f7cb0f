package secret

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/faultline-iot/faultline"
)

const (
	shortest = 10  // characters
	longest  = 256 // bytes
)

// common are beginnings of passwords that everybody tries, without what is added to make them longer. Where nothing but
// digits and signs is left, the password is refused too.
var common = []string{
	"password", "passwort", "passw0rd", "p@ssword", "p@ssw0rd", "qwertyuiop", "qwertzuiop", "qwerty", "qwertz", "asdfghjkl", "iloveyou", "letmein", "welcome",
	"willkommen", "administrator", "admin", "faultline", "changeme", "changeit", "trustno1", "dragon", "monkey", "football", "baseball", "sunshine", "princess",
	"superman", "batman", "master", "shadow", "michael", "summer", "winter", "spring", "autumn", "sommer", "woaini", "secret", "geheim", "default", "service",
	"maintenance", "modbus", "scada", "siemens", "operator", "abc", "abcd", "abcde", "abcdef", "abcdefg", "abcdefgh", "abcdefghij", "qazwsx", "qazwsxedc", "zaq", "xsw",
}

// CheckPassword refuses passwords that are guessed: shorter than 10 characters, one of few characters, a run, a common
// word with digits and signs around it, or the user's own name. No mixture of kinds of characters is asked for:
// it makes passwords no better, and people write them down.
func CheckPassword(password, user string) error {
	refuse := func(why string) error { return fmt.Errorf("%w: password: %s", faultline.ErrInvalid, why) }
	switch {
	case !utf8.ValidString(password) || strings.ContainsFunc(password, unicode.IsControl):
		return refuse("it holds what cannot be typed")
	case utf8.RuneCountInString(password) < shortest:
		return refuse(fmt.Sprintf("at least %d characters; several words are easy to remember", shortest))
	case len(password) > longest:
		return refuse(fmt.Sprintf("at most %d bytes", longest))
	}
	low := strings.ToLower(password)
	if user != "" && strings.Contains(low, strings.ToLower(user)) && len(low)-len(user) < shortest {
		return refuse("it is little more than the user's name")
	}
	distinct, runs := map[rune]bool{}, 0
	var last rune
	for i, c := range low {
		distinct[c] = true
		if i > 0 && (c == last || c == last+1 || c == last-1) {
			runs++
		}
		last = c
	}
	n := utf8.RuneCountInString(low)
	if len(distinct) < 5 {
		return refuse("it repeats few characters")
	}
	if runs >= n*2/3 {
		return refuse("it is a run of characters")
	}
	bare := low
	for {
		before := bare
		bare = strings.TrimFunc(bare, func(c rune) bool { return !unicode.IsLetter(c) })
		for _, w := range common {
			bare = strings.TrimPrefix(bare, w)
		}
		if bare == before {
			break
		}
	}
	if bare == "" {
		return refuse("everybody tries it: it is a common word or a row of digits; several words that do not belong together are better")
	}
	return nil
}
