package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/exchange"
)

// sealer encrypts what cookies hold with AES-256-GCM, which also tells what was not made by it. About binds a text to its purpose.
type sealer struct{ aead cipher.AEAD }

func newSealer(key []byte) (*sealer, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &sealer{aead}, err
}

var cookieText = base64.RawURLEncoding.Strict()

func (s *sealer) seal(v any, about string) (string, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(plain)+s.aead.Overhead())
	_, _ = rand.Read(nonce) // never fails
	return cookieText.EncodeToString(s.aead.Seal(nonce, nonce, plain, []byte(about))), nil
}

// open is false for what was not sealed with the key for this purpose.
func (s *sealer) open(text, about string, into any) bool {
	raw, err := cookieText.DecodeString(text)
	if err != nil || len(raw) < s.aead.NonceSize() {
		return false
	}
	plain, err := s.aead.Open(nil, raw[:s.aead.NonceSize()], raw[s.aead.NonceSize():], []byte(about))
	return err == nil && json.Unmarshal(plain, into) == nil
}

// A browser keeps 4096 bytes of a cookie with its name and attributes, so that a long text is cut into several: NAME, NAME.1, NAME.2. The first
// begins with their number and a dot.
const (
	cookiePart = 3600
	mostParts  = 4
)

// jar writes and reads the cookies of a policy.
type jar struct {
	name, domain string
}

// read puts the parts of a cookie together; "" if it is not there, or not whole.
func (j *jar) read(r *exchange.Request) string {
	count, text, ok := strings.Cut(string(r.Request.Header.Cookie(j.name)), ".")
	n, err := strconv.Atoi(count)
	if !ok || err != nil || n < 1 || n > mostParts {
		return ""
	}
	if n == 1 {
		return text
	}
	var b strings.Builder
	b.WriteString(text)
	for i := 1; i < n; i++ {
		part := r.Request.Header.Cookie(j.part(i))
		if len(part) == 0 {
			return ""
		}
		b.Write(part)
	}
	return b.String()
}

func (j *jar) part(i int) string {
	if i == 0 {
		return j.name
	}
	return j.name + "." + strconv.Itoa(i)
}

// write gives the answer a cookie; it is false if the text is too long. Parts that the browser still has of a longer one are removed.
func (j *jar) write(r *exchange.Request, text string, age time.Duration) bool {
	n := max(1, (len(text)+cookiePart-1)/cookiePart)
	if n > mostParts {
		return false
	}
	for i := range n {
		part := text[i*cookiePart : min(len(text), (i+1)*cookiePart)]
		if i == 0 {
			part = strconv.Itoa(n) + "." + part
		}
		j.set(r, j.part(i), part, age)
	}
	for i := n; i < mostParts; i++ {
		if len(r.Request.Header.Cookie(j.part(i))) > 0 {
			j.set(r, j.part(i), "", 0)
		}
	}
	return true
}

// remove takes the cookie from the browser.
func (j *jar) remove(r *exchange.Request) {
	for i := range mostParts {
		if i == 0 || len(r.Request.Header.Cookie(j.part(i))) > 0 {
			j.set(r, j.part(i), "", 0)
		}
	}
}

// hide keeps the cookie from the upstream.
func (j *jar) hide(r *exchange.Request) {
	for i := range mostParts {
		r.Request.Header.DelCookie(j.part(i))
	}
	if r.Standard != nil {
		r.Standard.Request.Header.Del("Cookie")
		if rest := r.Request.Header.Peek("Cookie"); len(rest) > 0 {
			r.Standard.Request.Header.Set("Cookie", string(rest))
		}
	}
}

// set gives the answer one cookie; no age removes it.
func (j *jar) set(r *exchange.Request, name, value string, age time.Duration) {
	c := fasthttp.AcquireCookie()
	defer fasthttp.ReleaseCookie(c)
	c.SetKey(name)
	c.SetValue(value)
	c.SetPath("/")
	c.SetHTTPOnly(true)
	c.SetSameSite(fasthttp.CookieSameSiteLaxMode)
	c.SetSecure(r.Secure())
	if j.domain != "" {
		c.SetDomain(strings.TrimPrefix(j.domain, "."))
	}
	if age > 0 {
		c.SetMaxAge(int(age / time.Second))
	} else {
		c.SetExpire(fasthttp.CookieExpireDelete)
	}
	r.Response.Header.SetCookie(c)
}
