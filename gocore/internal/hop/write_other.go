//go:build !unix

// Where a descriptor cannot be written to directly, a goroutine writes.
package hop

func (c *conn) tryWrite() (n int, blocked bool, err error) { return 0, true, nil }

func (c *conn) waitWrite() (n int, err error) {
	n, err = c.nc.Write(c.rest())
	c.advance(n)
	return n, err
}
