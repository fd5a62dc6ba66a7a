package openapi

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	files "path"
	"strings"

	"github.com/headrace/headrace/internal/exchange"
)

//go:embed reference.html
var html string

// PagePath is where the page of a document is: beside it, without its extension, as in /openapi of /openapi.json.
func PagePath(document string) string {
	page := strings.TrimSuffix(document, files.Ext(document))
	if page == document {
		page += ".html"
	}
	return page
}

// Publish makes handlers for a document at a path of the same host, and for a page that shows it and asks nobody else.
func Publish(documentPath string, document []byte) (json, page exchange.Handler) {
	text, policy := render(documentPath)
	return fixed(document, "application/json", ""), fixed([]byte(text), "text/html; charset=utf-8", policy)
}

// render puts the address into the page, and names its script and its style in a Content-Security-Policy, so that nothing else runs.
func render(documentPath string) (text, policy string) {
	quoted, _ := json.Marshal(documentPath) // escapes what could end the script
	text = strings.Replace(html, "DOCUMENT", string(quoted), 1)
	hash := func(tag string) string {
		_, rest, _ := strings.Cut(text, "<"+tag+">")
		inner, _, _ := strings.Cut(rest, "</"+tag+">")
		sum := sha256.Sum256([]byte(inner))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return text, "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self'; script-src " + hash("script") + "; style-src " + hash("style")
}

// fixed answers with a text that clients may keep as long as it does not change.
func fixed(text []byte, media, policy string) exchange.Handler {
	sum := sha256.Sum256(text)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	return func(r *exchange.Request) error {
		h := &r.Response.Header
		h.Set("ETag", tag)
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Content-Type-Options", "nosniff")
		if policy != "" {
			h.Set("Content-Security-Policy", policy)
		}
		if strings.Contains(string(r.Request.Header.Peek("If-None-Match")), tag) {
			r.Response.SetStatusCode(304)
			return nil
		}
		h.SetContentType(media)
		r.Response.SetBodyRaw(text)
		return nil
	}
}
