// DES crypt against the answers of the C library.

package descrypt

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestHash(t *testing.T) {
	for _, c := range []struct{ password, hash string }{
		{"", "dHucwM5GiSOwI"},
		{"", "..X8NBuQ4l6uQ"},
		{"a", "m4Q1nCZppLSjU"},
		{"a", "..4/MD05HLWjI"},
		{"secret", "7AHfnRiSSaEGA"},
		{"secret", "..EBVOMug1tuI"},
		{"12345678", "i5x.BuHJFxv7A"},
		{"12345678", "..EXlUiP8mHCU"},
		{"123456789", "P2lKJM74Ob8jc"},
		{"123456789", "..EXlUiP8mHCU"},
		{"password with blanks", "9rIPoaKqAD1Po"},
		{"password with blanks", "..UZoIyj/Hy/c"},
		{"äö", "p6UC84S4XtE7I"},
		{"äö", "..VJFHwe84eCs"},
		{"~!@#$%^&", "S98umgUQCxrKk"},
		{"~!@#$%^&", "..hbT.oPHpo6o"},
		{"pÃ", "q5BN7h4wLqAHw"},
		{"pÃ", "..uaveIBnhWvM"},
		{"/<ppj'ijR", "4QBxJQhRyUWZ2"},
		{"", "FZAc8jnw.XdKg"},
		{"2e/iGg", "LBIE90dh6ugEE"},
		{"iq8O,f{(h", "5OdlHxRfbIlKE"},
		{"wdVH[jZ", "ia6BllVcFs6bI"},
		{"7y?", "8aL6OoT6ZLcO."},
		{"_K}YDm)/", "pJNom6c9anqLY"},
		{"3^U%u", "7cPF4XhVl2Dxw"},
		{"xLl_j", "u6uGApdlZUkf."},
		{"B", "w68xO0jjGUHbw"},
		{"", "bt4cCdfCN18TM"},
		{"{QuL", "0v7Vrns3gxIyE"},
		{"5n._'", "PY52CIs3NMjF."},
		{"~?", "mmSEl8BO9Vdh2"},
		{"*5YSfC1", "rXI3Y0yhDEO3I"},
		{"MwP=3*", "KH8uPPBTkBFCc"},
		{"t=!", "yLMUJVVawG/aQ"},
		{"D 2U", "jc4zH5DW19ueI"},
		{"xa", "4uNPZT0zvAv36"},
		{"RRSR-]qS", "5MYl5qsrDxGYs"},
	} {
		assert.True(t, Is(c.hash), c.hash)
		assert.Equal(t, c.hash, Hash(c.password, c.hash), "%q", c.password)
	}
}

func TestIs(t *testing.T) {
	for _, hash := range []string{"", "abNANd1rDfiN", "abNANd1rDfiNcc", "abNANd1rDfi:c", "$1$abNANd1rDf", "_abNANd1rDfiN"} {
		assert.False(t, Is(hash), hash)
	}
}

func FuzzHash(f *testing.F) {
	f.Add("secret", "abNANd1rDfiNc")
	f.Fuzz(func(t *testing.T, password, hash string) {
		if !Is(hash) {
			return
		}
		h := Hash(password, hash)
		assert.True(t, Is(h), h)
		if len(password) > 8 {
			assert.Equal(t, Hash(password[:8], hash), h)
		}
	})
}

func BenchmarkHash(b *testing.B) {
	for b.Loop() {
		Hash("password", "ab")
	}
}
