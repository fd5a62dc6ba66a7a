package park

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"testing"
	"time"
)

// secure parks the server's end of a TLS connection.
func (b *bench) secure(h Handler, early ...byte) (*tls.Conn, *Conn) {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		b.Fatal(err)
	}
	raw, err := net.Dial("tcp", b.listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { raw.Close() })
	accepted, err := b.listener.Accept()
	if err != nil {
		b.Fatal(err)
	}
	server := tls.Server(accepted, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	client := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	client.SetDeadline(time.Now().Add(patience))
	done := make(chan error)
	go func() { done <- server.Handshake() }()
	if err := client.Handshake(); err != nil {
		b.Fatal(err)
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	c, err := b.Park(server, early, h)
	if err != nil {
		b.Fatal(err)
	}
	return client, c
}

func TestStream(t *testing.T) {
	b := start(t, "tcp")
	t.Run("echo and end", func(t *testing.T) {
		h := newEcho()
		client, c := b.secure(h, []byte("early")...)
		expect(t, client, []byte("early"))
		sent := make([]byte, 4<<20)
		rand.Read(sent)
		go client.Write(sent)
		expect(t, client, sent)
		if c.Remote().String() != client.LocalAddr().String() {
			t.Error("remote is", c.Remote())
		}
		client.Close()
		if err := h.wait(t); err != io.EOF {
			t.Error(err)
		}
	})
	t.Run("never reading", func(t *testing.T) {
		h := newEcho()
		client, c := b.secure(h)
		fill(t, c)
		go io.Copy(io.Discard, client)
		eventually(t, "Writable", func() bool { return h.writable.Load() > 0 })
		c.Close(errors.ErrUnsupported)
		if err := h.wait(t); err != errors.ErrUnsupported {
			t.Error(err)
		}
	})
	t.Run("never reading, closed", func(t *testing.T) {
		h := newEcho()
		_, c := b.secure(h)
		fill(t, c)
		c.Close(errors.ErrUnsupported)
		if err := h.wait(t); err != errors.ErrUnsupported {
			t.Error(err)
		}
		eventually(t, "Writable", func() bool { return h.writable.Load() > 0 })
	})
	t.Run("close writes what is kept", func(t *testing.T) {
		h := newEcho()
		client, c := b.secure(h)
		c.Write(make([]byte, 3<<20))
		c.Close(nil)
		if n, err := io.Copy(io.Discard, client); n != 3<<20 || err != nil {
			t.Error(n, err)
		}
		h.wait(t)
	})
	t.Run("tick", func(t *testing.T) {
		h := newEcho()
		ticked := make(chan struct{})
		h.tick = func(*Conn) { close(ticked) }
		_, c := b.secure(h)
		c.Wake(100 * time.Millisecond)
		<-ticked
		c.Close(nil)
		h.wait(t)
	})
}
