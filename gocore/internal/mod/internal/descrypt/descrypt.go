// Package descrypt is the oldest hash of crypt(3): DES, as "htpasswd -d" and
// systems of the last century wrote it. There is no library for it that is kept
// up, crypto/des has no salt, and old AuthUserFiles have such lines.
//
// The key is the first eight characters of the password, seven bits of each. A
// block of zeros is encrypted 25 times; the salt, twelve bits, says which
// halves of the expansion E change places, so that DES hardware is of no use.
// Sources: FIPS 46-3 for DES and its tables, crypt(3) for the rest.
package descrypt

import "strings"

// Len is the length of a hash: two characters of salt, eleven of the block.
const Len = 13

const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// rounds is how often the block is encrypted.
const rounds = 25

// Is says whether a text looks like such a hash.
func Is(hash string) bool {
	return len(hash) == Len && strings.Trim(hash, alphabet) == ""
}

// Hash computes the hash with the salt, of which the first two characters
// count. The salt must be of the alphabet, as Is says of a hash.
func Hash(password, salt string) string {
	keys := schedule(password)
	expand := e
	for i := range 2 {
		bits := strings.IndexByte(alphabet, salt[i])
		for j := range 6 {
			if bits>>j&1 == 1 {
				k := 6*i + j
				expand[k], expand[k+24] = expand[k+24], expand[k]
			}
		}
	}
	var block [64]byte // a bit each
	for range rounds {
		encrypt(&block, &keys, &expand)
	}
	out := make([]byte, 0, Len)
	out = append(out, salt[:2]...)
	for i := 0; i < 66; i += 6 { // the last two bits are zero
		v := 0
		for j := i; j < i+6; j++ {
			v <<= 1
			if j < 64 {
				v |= int(block[j])
			}
		}
		out = append(out, alphabet[v])
	}
	return string(out)
}

// schedule makes the sixteen round keys, 48 bits each.
func schedule(password string) (keys [16][48]byte) {
	var key [64]byte
	for i := range min(8, len(password)) {
		for j := range 7 { // the eighth bit is DES' parity, which nobody looks at
			key[8*i+j] = password[i] >> (6 - j) & 1
		}
	}
	var cd [56]byte
	for i, from := range pc1 {
		cd[i] = key[from-1]
	}
	for round, shift := range shifts {
		for range shift {
			for _, half := range [2][]byte{cd[:28], cd[28:]} {
				first := half[0]
				copy(half, half[1:])
				half[27] = first
			}
		}
		for i, from := range pc2 {
			keys[round][i] = cd[from-1]
		}
	}
	return keys
}

// encrypt is DES with another expansion.
func encrypt(block *[64]byte, keys *[16][48]byte, expand *[48]byte) {
	var l, r [32]byte
	for i, from := range ip {
		if i < 32 {
			l[i] = block[from-1]
		} else {
			r[i-32] = block[from-1]
		}
	}
	for round := range keys {
		var x [48]byte
		for i, from := range expand {
			x[i] = r[from-1] ^ keys[round][i]
		}
		var y [32]byte
		for box := range s {
			b := x[6*box : 6*box+6]
			row, column := b[0]<<1|b[5], b[1]<<3|b[2]<<2|b[3]<<1|b[4]
			v := s[box][16*row+column]
			for i := range 4 {
				y[4*box+i] = v >> (3 - i) & 1
			}
		}
		next := l
		for i, from := range p {
			next[i] ^= y[from-1]
		}
		l, r = r, next
	}
	both := [64]byte{}
	copy(both[:32], r[:]) // the halves change places once more
	copy(both[32:], l[:])
	for i, from := range ip { // and the inverse of IP
		block[from-1] = both[i]
	}
}

// The tables of FIPS 46-3; positions count from 1.
var (
	ip = [64]byte{58, 50, 42, 34, 26, 18, 10, 2, 60, 52, 44, 36, 28, 20, 12, 4, 62, 54, 46, 38, 30, 22, 14, 6, 64, 56, 48, 40, 32, 24, 16, 8,
		57, 49, 41, 33, 25, 17, 9, 1, 59, 51, 43, 35, 27, 19, 11, 3, 61, 53, 45, 37, 29, 21, 13, 5, 63, 55, 47, 39, 31, 23, 15, 7}
	e = [48]byte{32, 1, 2, 3, 4, 5, 4, 5, 6, 7, 8, 9, 8, 9, 10, 11, 12, 13, 12, 13, 14, 15, 16, 17,
		16, 17, 18, 19, 20, 21, 20, 21, 22, 23, 24, 25, 24, 25, 26, 27, 28, 29, 28, 29, 30, 31, 32, 1}
	p   = [32]byte{16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25}
	pc1 = [56]byte{57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36,
		63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4}
	pc2 = [48]byte{14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2,
		41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32}
	shifts = [16]int{1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1}
	s      = [8][64]byte{
		{14, 4, 13, 1, 2, 15, 11, 8, 3, 10, 6, 12, 5, 9, 0, 7, 0, 15, 7, 4, 14, 2, 13, 1, 10, 6, 12, 11, 9, 5, 3, 8,
			4, 1, 14, 8, 13, 6, 2, 11, 15, 12, 9, 7, 3, 10, 5, 0, 15, 12, 8, 2, 4, 9, 1, 7, 5, 11, 3, 14, 10, 0, 6, 13},
		{15, 1, 8, 14, 6, 11, 3, 4, 9, 7, 2, 13, 12, 0, 5, 10, 3, 13, 4, 7, 15, 2, 8, 14, 12, 0, 1, 10, 6, 9, 11, 5,
			0, 14, 7, 11, 10, 4, 13, 1, 5, 8, 12, 6, 9, 3, 2, 15, 13, 8, 10, 1, 3, 15, 4, 2, 11, 6, 7, 12, 0, 5, 14, 9},
		{10, 0, 9, 14, 6, 3, 15, 5, 1, 13, 12, 7, 11, 4, 2, 8, 13, 7, 0, 9, 3, 4, 6, 10, 2, 8, 5, 14, 12, 11, 15, 1,
			13, 6, 4, 9, 8, 15, 3, 0, 11, 1, 2, 12, 5, 10, 14, 7, 1, 10, 13, 0, 6, 9, 8, 7, 4, 15, 14, 3, 11, 5, 2, 12},
		{7, 13, 14, 3, 0, 6, 9, 10, 1, 2, 8, 5, 11, 12, 4, 15, 13, 8, 11, 5, 6, 15, 0, 3, 4, 7, 2, 12, 1, 10, 14, 9,
			10, 6, 9, 0, 12, 11, 7, 13, 15, 1, 3, 14, 5, 2, 8, 4, 3, 15, 0, 6, 10, 1, 13, 8, 9, 4, 5, 11, 12, 7, 2, 14},
		{2, 12, 4, 1, 7, 10, 11, 6, 8, 5, 3, 15, 13, 0, 14, 9, 14, 11, 2, 12, 4, 7, 13, 1, 5, 0, 15, 10, 3, 9, 8, 6,
			4, 2, 1, 11, 10, 13, 7, 8, 15, 9, 12, 5, 6, 3, 0, 14, 11, 8, 12, 7, 1, 14, 2, 13, 6, 15, 0, 9, 10, 4, 5, 3},
		{12, 1, 10, 15, 9, 2, 6, 8, 0, 13, 3, 4, 14, 7, 5, 11, 10, 15, 4, 2, 7, 12, 9, 5, 6, 1, 13, 14, 0, 11, 3, 8,
			9, 14, 15, 5, 2, 8, 12, 3, 7, 0, 4, 10, 1, 13, 11, 6, 4, 3, 2, 12, 9, 5, 15, 10, 11, 14, 1, 7, 6, 0, 8, 13},
		{4, 11, 2, 14, 15, 0, 8, 13, 3, 12, 9, 7, 5, 10, 6, 1, 13, 0, 11, 7, 4, 9, 1, 10, 14, 3, 5, 12, 2, 15, 8, 6,
			1, 4, 11, 13, 12, 3, 7, 14, 10, 15, 6, 8, 0, 5, 9, 2, 6, 11, 13, 8, 1, 4, 10, 7, 9, 5, 0, 15, 14, 2, 3, 12},
		{13, 2, 8, 4, 6, 15, 11, 1, 10, 9, 3, 14, 5, 0, 12, 7, 1, 15, 13, 8, 10, 3, 7, 4, 12, 5, 6, 11, 0, 14, 9, 2,
			7, 11, 4, 1, 9, 12, 14, 2, 0, 6, 10, 13, 15, 3, 5, 8, 2, 1, 14, 7, 4, 10, 8, 13, 15, 12, 9, 0, 3, 5, 6, 11},
	}
)
