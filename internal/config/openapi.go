package config

// OpenAPI holds requests and answers against a document.
type OpenAPI struct {
	// File of an OpenAPI 3.1 document, in YAML or JSON.
	Document string `yaml:"document" path:"true" required:"true"`
}

func (o *OpenAPI) defaults() { *o = OpenAPI{} }
