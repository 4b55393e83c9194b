package config

import (
	"cmp"
	"encoding"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

func isDuration(t reflect.Type) bool { return t == reflect.TypeFor[time.Duration]() }

// scalar reads text as a value of type t that r allows. The error says what it must be, without the text.
func scalar(text string, t reflect.Type, r rule) (reflect.Value, error) {
	v, err := parseScalar(text, t)
	if err != nil {
		return v, err
	}
	return v, r.allows(v)
}

// parseScalar reads text as the environment, a flag and an unquoted YAML scalar have it.
func parseScalar(text string, t reflect.Type) (reflect.Value, error) {
	v := reflect.New(t).Elem()
	wrong := errors.New("must be " + wanted(t))
	if !utf8.ValidString(text) {
		return v, errors.New("must be valid UTF-8")
	}
	if own, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if own.UnmarshalText([]byte(text)) != nil { // its error may quote the text
			return v, wrong
		}
		return v, nil
	}
	switch {
	case isDuration(t):
		d, err := time.ParseDuration(text)
		if err != nil {
			return v, wrong
		}
		v.SetInt(int64(d))
	case t.Kind() == reflect.String:
		v.SetString(text)
	case t.Kind() == reflect.Bool:
		switch text { // YAML 1.2's, not also the 1 and t of strconv.ParseBool
		case "true", "True", "TRUE":
			v.SetBool(true)
		case "false", "False", "FALSE":
		default:
			return v, wrong
		}
	case v.CanInt():
		i, err := strconv.ParseInt(text, 10, t.Bits())
		if err != nil {
			return v, wrong
		}
		v.SetInt(i)
	case v.CanUint():
		u, err := strconv.ParseUint(text, 10, t.Bits())
		if err != nil {
			return v, wrong
		}
		v.SetUint(u)
	case v.CanFloat():
		f, err := strconv.ParseFloat(text, t.Bits())
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return v, wrong
		}
		v.SetFloat(f)
	}
	return v, nil
}

// wanted names a type for "must be …".
func wanted(t reflect.Type) string {
	switch {
	case isText(t):
		return "a valid " + t.String()
	case isDuration(t):
		return "a duration with its unit such as 500ms, 10s or 1h30m"
	}
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number, 0 or more"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice:
		if isDuration(t.Elem()) {
			return "a list of durations such as [5s, 30s]"
		}
		return "a list"
	}
	return "a mapping" // structs and maps
}

// isText tells whether a type reads itself from text.
func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// isScalar tells whether a type's values are one word of YAML, or one variable.
func isScalar(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Bool,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
		return true
	}
	return isText(t)
}

// compare orders two numbers of one type.
func compare(a, b reflect.Value) int {
	switch {
	case a.CanInt():
		return cmp.Compare(a.Int(), b.Int())
	case a.CanUint():
		return cmp.Compare(a.Uint(), b.Uint())
	}
	return cmp.Compare(a.Float(), b.Float())
}

// shortDuration is d without the zero parts of its String: 1h rather than 1h0m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// plain is a value as YAML and JSON show it: durations as text, and show applied to all text.
func plain(v reflect.Value, show func(string) string) any {
	if isDuration(v.Type()) {
		return shortDuration(time.Duration(v.Int()))
	}
	if text, ok := v.Interface().(encoding.TextMarshaler); ok && isText(v.Type()) {
		if b, err := text.MarshalText(); err == nil {
			return show(string(b))
		}
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		return show(v.String())
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(v.Index(i), show)
		}
		return list
	case reflect.Map:
		m := make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); {
			m[it.Key().String()] = plain(it.Value(), show)
		}
		return m
	case reflect.Struct:
		m := map[string]any{}
		for f := range fields(v) {
			m[f.name] = plain(f.value, shower(f.tag.Get("secret")))
		}
		return m
	}
	return v.Interface()
}

// shower is how text below a field with that secret tag is shown.
func shower(secret string) func(string) string {
	return func(s string) string {
		switch {
		case secret == secretAll && s != "":
			return mask
		case secret == secretDSN || urlStart.MatchString(s): // a URL in any field may hold a password
			return masked(s)
		}
		return s
	}
}
