//go:build unix && !linux

// Elsewhere close-on-exec is set right after, see socketPair.
package process

const sockCloexec = 0
