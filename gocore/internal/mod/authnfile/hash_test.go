// Which hashes can be checked, which are refused and with what words.

package authnfile

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestKindsOfHashes(t *testing.T) {
	for name, hash := range map[string]string{
		"DES":             "abNANd1rDfiNc",
		"yescrypt":        "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$GmcwIgvdUC9qLWcKCi6gklUa1dM3ziD43YxYNURLKy0",
		"yescrypt, small": "$y$j75$abcdefgh$uMUXG79B2cFpoAYyDccUnsaH/aGTyBYMlnQidzyag01",
		"bcrypt":          "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
		"apr1":            "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/",
		"SHA-256":         "$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA",
		"SHA-512":         "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1",
		"MD5":             "$1$saltsalt$9xy1btjgzLYfb7hivXtC//",
	} {
		check, err := slow(hash)
		require.NoError(t, err, name)
		right := "secret"
		if name == "apr1" {
			right = "myPassword"
		}
		assert.True(t, check(right), name)
		assert.False(t, check(right+"x"), name)
		assert.False(t, check("Secret"), name)
		assert.False(t, check(""), name)
	}
}

func TestHashesThatAreRefused(t *testing.T) {
	for hash, want := range map[string]string{
		"secret":                       "htpasswd -B",
		"":                             "htpasswd -B",
		"$7$C6..../....SodiumChloride": "htpasswd -B",
		"_J9..rasmBYk8r9AiWNc":         "htpasswd -B",
		"$y$":                          "parameters",
		"$y$k9T$salt$hash":             "parameters",
		"$y$j9":                        "parameters",
		"$y$j*T$salt$hash":             "parameters",
		"$y$jFT$salt$hash":             "1024 MiB",
		"$2y$18$abcdefghijklmnopqrstuuxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx": "cost 18",
		"$6$rounds=9000000$salt$hash":                                  "rounds",
	} {
		_, err := slow(hash)
		require.Error(t, err, hash)
		assert.Contains(t, err.Error(), want, hash)
	}
}

func FuzzSlow(f *testing.F) {
	for _, s := range []string{"abNANd1rDfiNc", "$y$j75$abcdefgh$x", "$2y$04$x", "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/", "$5$rounds=1000$x$y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, hash string) {
		if check, err := slow(hash); (err == nil) == (check == nil) {
			t.Fatal("an error or a check", err)
		}
	})
}
