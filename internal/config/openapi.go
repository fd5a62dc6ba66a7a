package config

// OpenAPI holds requests and answers against a document.
type OpenAPI struct {
	// File of an OpenAPI 3.1 document, in YAML or JSON. Files beside it and below it may be referred to.
	Document string `yaml:"document" path:"true" required:"true"`
	// Path before those of the document, as in /api; empty is that of the first of its servers, and / is none.
	Base string `yaml:"base"`
	// What is done about requests that do not fit: enforce refuses them, report logs and counts them.
	Requests string `yaml:"requests" enum:"enforce,report,off"`
	// What is done about answers that do not fit, likewise; enforce answers 502 instead. Bodies that stream are not looked at.
	Responses string `yaml:"responses" enum:"off,report,enforce"`
	// Largest body that is read to be looked at, of a request or an answer. Larger requests are refused, larger answers pass. Uploads of files are not read.
	MaxBody Size `yaml:"max_body" min:"1B"`
}

func (o *OpenAPI) defaults() { *o = OpenAPI{Requests: "enforce", Responses: "off", MaxBody: MiB} }
