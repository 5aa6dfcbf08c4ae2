// Tests of what is parsed: cipher lists, SSLRequire, names; inside the package,
// because none of it shows.
package ssl

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/httpd"
)

func TestTranslate(t *testing.T) {
	for old, want := range map[string]string{
		`%{SSL_CLIENT_S_DN_O} eq "Snake Oil, Ltd." and %{TIME_HOUR} >= 8`:       `%{SSL_CLIENT_S_DN_O} == "Snake Oil, Ltd." && %{TIME_HOUR} -ge 8`,
		`%{TIME_WDAY} >= 1 and %{TIME_WDAY} <= 5 or not (%{SSL_CIPHER} ne "x")`: `%{TIME_WDAY} -ge 1 && %{TIME_WDAY} -le 5 || ! ( %{SSL_CIPHER} != "x" )`,
		`%{SSL_CLIENT_S_DN_OU} in {"Staff", "CA", "Dev"}`:                       `%{SSL_CLIENT_S_DN_OU} in { "Staff" , "CA" , "Dev" }`,
		`%{REMOTE_ADDR} =~ m/^192\.76\.162\.[0-9]+$/i`:                          `%{REMOTE_ADDR} =~ m/^192\.76\.162\.[0-9]+$/i`,
		`%{REMOTE_ADDR}!~/a b/&&true||false`:                                    `%{REMOTE_ADDR} !~ /a b/ && true || false`,
		`"and" == %{ENV:x} and 128 LT %{SSL_CIPHER_USEKEYSIZE}`:                 `"and" == %{ENV:x} && 128 -lt %{SSL_CIPHER_USEKEYSIZE}`,
		`%{SSL_CLIENT_S_DN_CN} eq file("/etc/name")`:                            `%{SSL_CLIENT_S_DN_CN} == file( "/etc/name" )`,
	} {
		got, err := translate(old)
		require.NoError(t, err, old)
		assert.Equal(t, want, got)
		_, err = httpd.ParseExpr(got)
		if !strings.Contains(got, "file(") { // which needs the rights of the main configuration
			assert.NoError(t, err, got)
		}
	}
	for old, want := range map[string]string{
		`%{A} < %{B}`: "by their length", `"a" gt "b"`: "by their length", `"a`: "does not end", `%{A`: "lacks a }", `%{A} =~ m#x`: "does not end",
		`"1.2.3" in PeerExtList("1.3.6")`: "PeerExtList() is not available", `< 5`: "by their length",
	} {
		_, err := translate(old)
		assert.ErrorContains(t, err, want, old)
	}
}

func FuzzRequire(f *testing.F) {
	for _, s := range []string{`%{A} eq "b" and not (1 < 2)`, `x =~ m#a\#b#i or y in {"a", "b"}`, `"\"" ne %{B`, `file("x")`, "m/", `!`, `%{`, "'"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		modern, err := translate(text)
		if err != nil {
			return
		}
		if e, err := httpd.ParseExpr(modern); err == nil { // what is accepted can be evaluated
			_ = e.String()
		}
	})
}

func FuzzCiphers(f *testing.F) {
	for _, s := range []string{"DEFAULT", "ECDHE+AESGCM:!aNULL:-SHA1:+HIGH", "@STRENGTH:ALL", "!ALL", "+", "-", "ECDHE-RSA-AES128-GCM-SHA256,AES128-SHA", "::", "a+b+"} {
		f.Add(s)
	}
	ids := map[uint16]bool{}
	for _, s := range suites {
		ids[s.id] = true
	}
	f.Fuzz(func(t *testing.T, spec string) {
		list, _, err := cipherList(spec)
		assert.False(t, err != nil && !errors.Is(err, errNothingLeft))
		for _, id := range list {
			assert.True(t, ids[id])
		}
	})
}

func FuzzName(f *testing.F) {
	raw, err := asn1.Marshal(pkix.Name{CommonName: "a,b", Organization: []string{"x", "y"}}.ToRDNSequence())
	require.NoError(f, err)
	f.Add(raw)
	f.Add([]byte{0x30, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, text := range []string{distinguished(raw, false), distinguished(raw, true), part(raw, "CN", 0)} {
			assert.False(t, strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f }), "%q could end a line of a log", text)
		}
		parts(raw, func(_, v string) {
			assert.False(t, strings.ContainsFunc(v, func(c rune) bool { return c < ' ' || c == 0x7f }))
		})
	})
}
