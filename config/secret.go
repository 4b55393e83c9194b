package config

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// mask stands where a password was.
const mask = "xxxxx"

var (
	urlStart   = regexp.MustCompile(`^\s*[a-zA-Z][a-zA-Z0-9+.-]*://`)
	sensitive  = regexp.MustCompile(`(?i)passw|passphrase|pwd|secret|token`)
	secretPair = regexp.MustCompile(`(?i)[\w.-]*(?:passw|passphrase|pwd|secret|token)[\w.-]*\s*=\s*`)
	// Only libpq's usual keywords end an unquoted value: any other word with "=" may be a part of a password.
	nextPair = regexp.MustCompile(`^\s+(?:host|hostaddr|port|dbname|database|user|password|passfile|options|application_name|` +
		`connect_timeout|client_encoding|search_path|timezone|target_session_attrs|channel_binding|service|` +
		`(?:ssl|gss|krb|pool_|keepalives)\w*)\s*=`)
)

// masked is a URL or DSN without its passwords. It was not checked before, so where it can be read in two ways
// masked hides what either would call the password: rather too much than a part of it.
func masked(dsn string) string {
	if urlStart.MatchString(dsn) {
		return maskQuery(maskUser(dsn))
	}
	return maskUser(maskPairs(dsn))
}

// maskUser hides what stands between the first colon and the last "@", so that a password may hold any character.
func maskUser(dsn string) string {
	start := 0
	if loc := urlStart.FindStringIndex(dsn); loc != nil {
		start = loc[1]
	}
	at := strings.LastIndexByte(dsn, '@')
	if at < start {
		return dsn
	}
	colon := strings.IndexByte(dsn[start:at], ':')
	if colon < 0 {
		return dsn
	}
	return dsn[:start+colon+1] + mask + dsn[at:]
}

// maskQuery hides the values of a URL's parameters whose names say that they are secret.
func maskQuery(dsn string) string {
	base, query, found := strings.Cut(dsn, "?")
	if !found {
		return dsn
	}
	var shown []string
	hiding := false
	for part := range strings.SplitSeq(query, "&") {
		name, _, assigned := strings.Cut(part, "=")
		if hiding && !assigned { // the rest of a secret with an unescaped ampersand
			continue
		}
		plain, err := url.QueryUnescape(name)
		hiding = err != nil || sensitive.MatchString(plain)
		if hiding {
			part = name + "=" + mask
		}
		shown = append(shown, part)
	}
	return base + "?" + strings.Join(shown, "&")
}

// maskPairs hides the values of libpq's key=value pairs whose names say that they are secret.
func maskPairs(dsn string) string {
	var b strings.Builder
	for {
		loc := secretPair.FindStringIndex(dsn)
		if loc == nil {
			return b.String() + dsn
		}
		b.WriteString(dsn[:loc[1]] + mask)
		dsn = dsn[loc[1]:]
		dsn = dsn[pairLength(dsn):]
	}
}

// pairLength is the length of the value that s begins with: quoted or not, with backslash escapes, up to the
// next key. Blanks without a key behind them are taken for a part of it.
func pairLength(s string) int {
	quoted := strings.HasPrefix(s, "'")
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			i++
		case quoted:
			quoted = i == 0 || s[i] != '\''
		case nextPair.MatchString(s[i:]):
			return i
		}
	}
	return len(s)
}

// printable is a key as a problem may show it: on one line, cut, and left out when a value seems to have got into it.
func printable(key string) string {
	if strings.ContainsAny(key, "@=") || strings.Contains(key, "://") {
		return "(not shown: it may hold a password)"
	}
	if shown := strconv.Quote(cut(key)); shown != `"`+key+`"` {
		return shown
	}
	return key
}

func cut(text string) string {
	const most = 60
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// perhapsSecret tells whether a value could be a DSN, or named as a secret.
func perhapsSecret(text string) bool {
	return strings.Contains(text, "@") || strings.Contains(text, "://") || sensitive.MatchString(text)
}

// quoted is a value as a problem may show it: cut, and left out when it may hold a password, in the wrong place.
func quoted(text string) string {
	if perhapsSecret(text) {
		return "what is given (not shown: it may hold a password)"
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return cut(text)
	}
	return strconv.Quote(cut(text))
}
