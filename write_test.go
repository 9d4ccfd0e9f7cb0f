package faultline

import (
	"errors"
	"testing"
	"time"
)

func TestWritableCheck(t *testing.T) {
	v := func(f float64) *float64 { return &f }
	steps := &Writable{Min: v(5), Max: v(7), Step: 0.1}
	chosen := &Writable{Values: []float64{0, 1, 3}}
	for _, c := range []struct {
		w  *Writable
		t  Type
		v  Value
		ok bool
	}{
		{steps, TypeFloat, Float(5), true}, {steps, TypeFloat, Float(7), true}, {steps, TypeFloat, Float(5.3), true},
		{steps, TypeFloat, Float(5.35), false}, {steps, TypeFloat, Float(4.9), false}, {steps, TypeFloat, Float(7.1), false},
		{steps, TypeFloat, Int(6), false}, {steps, TypeFloat, Bool(true), false}, {steps, TypeFloat, Value{}, false},
		{chosen, TypeInt, Int(3), true}, {chosen, TypeInt, Int(2), false},
		{&Writable{}, TypeBool, Bool(false), true}, {&Writable{}, TypeFloat, Float(1), false}, {&Writable{Min: v(1)}, TypeFloat, Float(2), false},
		{&Writable{}, TypeString, String("x"), false},
	} {
		if err := c.w.Check(c.t, c.v); (err == nil) != c.ok {
			t.Errorf("%v as %s in %s: %v", c.v, c.t, c.w, err)
		}
	}
	if s := steps.String() + "; " + chosen.String(); s != "5 to 7, in steps of 0.1; 0, 1, 3" {
		t.Error(s)
	}
}

func TestParseValue(t *testing.T) {
	for _, c := range []struct {
		t    Type
		text string
		want Value
	}{
		{TypeFloat, "6.2", Float(6.2)}, {TypeFloat, "6", Float(6)}, {TypeInt, "9007199254740993", Int(9007199254740993)}, {TypeBool, "true", Bool(true)},
		{TypeFloat, "1e999", Value{}}, {TypeFloat, "null", Value{}}, {TypeFloat, `"6"`, Value{}}, {TypeFloat, "6 7", Value{}}, {TypeFloat, "", Value{}}, {TypeFloat, "true", Value{}},
		{TypeInt, "6.5", Value{}}, {TypeInt, "9223372036854775808", Value{}}, {TypeBool, "1", Value{}}, {TypeString, `"x"`, Value{}}, {TypeFloat, "[6]", Value{}},
	} {
		got, err := ParseValue(c.t, []byte(c.text))
		if got != c.want || (err == nil) != (c.want != Value{}) {
			t.Errorf("%s %q: %v, %v", c.t, c.text, got, err)
		}
	}
}

func TestDecide(t *testing.T) {
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	pending := Write{Status: WritePending, AskedBy: "anna", ExpiresAt: now.Add(time.Minute)}
	for _, c := range []struct {
		to   WriteStatus
		by   string
		at   time.Time
		want WriteStatus
		err  error
	}{
		{WriteSending, "ben", now, WriteSending, nil},
		{WriteSending, "anna", now, WritePending, ErrRefused},
		{WriteRefused, "ben", now, WriteRefused, nil},
		{WriteRefused, "anna", now, WriteRefused, nil},
		{WriteWithdrawn, "anna", now, WriteWithdrawn, nil},
		{WriteWithdrawn, "ben", now, WritePending, ErrRefused},
		{WriteWritten, "ben", now, WritePending, ErrInvalid},
		{WriteSending, "ben", now.Add(time.Minute), WriteExpired, ErrRefused},
	} {
		w := pending
		if err := w.Decide(c.to, c.by, c.at); !errors.Is(err, c.err) || w.Status != c.want {
			t.Errorf("%s by %s: %s, %v", c.to, c.by, w.Status, err)
		}
	}
	for _, s := range WriteStatuses {
		w := Write{Status: s, AskedBy: "anna", ExpiresAt: now.Add(time.Minute)}
		if err := w.Decide(WriteSending, "ben", now); (err == nil) != (s == WritePending) {
			t.Errorf("from %s: %v", s, err)
		}
	}
}
