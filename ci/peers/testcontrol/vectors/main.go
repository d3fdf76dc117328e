// vectors runs the official Noise handshake on keys that are one byte repeated and prints what travels: the golden
// vectors of mesh/transport/test/noise_link_test.c. `go run ./vectors`
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"net"
	"strings"

	"tailscale.com/control/controlbase"
	"tailscale.com/types/key"
)

const version, records = 138, 257

type same byte

func (b same) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}

func private(b int) (k key.MachinePrivate) {
	if err := k.UnmarshalText([]byte("privkey:" + strings.Repeat(fmt.Sprintf("%02x", b), 32))); err != nil {
		log.Fatal(err)
	}
	return k
}

// recorded keeps a copy of what is read.
type recorded struct {
	net.Conn
	seen bytes.Buffer
}

func (r *recorded) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.seen.Write(p[:n])
	return n, err
}

func main() {
	control, machine := private(1), private(2)
	rand.Reader = same(3)
	initiation, finish, err := controlbase.ClientDeferred(machine, control.Public(), version)
	if err != nil {
		log.Fatal(err)
	}
	rand.Reader = same(4)
	near, far := net.Pipe()
	go func() {
		c, err := controlbase.Server(context.Background(), far, control, initiation)
		for i := 0; err == nil && i < records; i++ {
			_, err = c.Write([]byte("abc"))
		}
		if err != nil {
			log.Fatal(err)
		}
	}()
	wire := &recorded{Conn: near}
	c, err := finish(context.Background(), wire)
	if err == nil {
		_, err = io.ReadFull(c, make([]byte, 3*records))
	}
	if err != nil {
		log.Fatal(err)
	}
	all := wire.seen.Bytes()
	fmt.Printf("initiation %x\nresponse %x\nhash %x\n", initiation, all[:51], c.HandshakeHash())
	for _, n := range []int{0, 1, 256} {
		fmt.Printf("record %d %x\n", n, all[51+22*n:][:22])
	}
}
