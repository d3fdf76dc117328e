package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"log"
	"math/big"
	"net"
	"net/http"
	"sync"
	"time"
)

// door is a listener that can be shut for a while with everything that came in by it: a restart of the server that
// keeps what it knows.
type door struct {
	mu      sync.Mutex
	address string
	tls     *tls.Config // nil: plain
	handler http.Handler
	inside  net.Listener
	guests  map[net.Conn]bool
}

func (d *door) Accept() (net.Conn, error) {
	c, err := d.inside.Accept()
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.guests[c] = true
	d.mu.Unlock()
	if d.tls != nil {
		return tls.Server(c, d.tls), nil
	}
	return c, nil
}

func (d *door) Close() error   { return d.inside.Close() }
func (d *door) Addr() net.Addr { return d.inside.Addr() }

func (d *door) serve() {
	l, err := net.Listen("tcp", d.address)
	if err != nil {
		log.Fatal(err)
	}
	d.inside = l
	d.guests = map[net.Conn]bool{}
	go http.Serve(d, d.handler)
}

func (d *door) shut(gap time.Duration) {
	d.mu.Lock()
	guests := d.guests
	d.mu.Unlock()
	d.inside.Close()
	time.AfterFunc(100*time.Millisecond, func() { // the answer to the admin goes out first
		for c := range guests {
			c.Close()
		}
	})
	time.AfterFunc(gap+200*time.Millisecond, d.serve)
}

func (l *lab) open(address string, secure bool, handler http.Handler) {
	d := &door{address: address, handler: handler}
	if secure {
		d.tls = &tls.Config{Certificates: []tls.Certificate{selfSigned()}}
	}
	l.doors = append(l.doors, d)
	d.serve()
}

func selfSigned() tls.Certificate {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		log.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k}
}
