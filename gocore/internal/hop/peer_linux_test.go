// What checkPeer compares on this system.
package hop

const checksProcess = true
