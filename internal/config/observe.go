package config

// Log is how headrace logs.
type Log struct {
	// Lowest level that is written.
	Level string `yaml:"level" enum:"debug,info,warn,error"`
	// Form of the lines; auto is text on a terminal and json otherwise.
	Format string `yaml:"format" enum:"auto,json,text"`
	// Access log of all routes; absent is none.
	Access *Access `yaml:"access"`
	// File that the access log is appended to, opened again on reload; empty is beside the other logs.
	AccessFile string `yaml:"access_file" path:"true"`
}

// Trace is where spans go.
type Trace struct {
	// Address of an OTLP/HTTP collector, as in http://localhost:4318; empty records no spans.
	OTLP string `yaml:"otlp" secret:"url"`
	// Share of the traces that begin here which is recorded, from 0 to 1; the sampling decision of a caller is followed.
	Sample float64 `yaml:"sample" min:"0" max:"1"`
	// Headers sent to the collector, as for its API key.
	Headers map[string]string `yaml:"headers" secret:"true"`
}
