package config

// Route is one rule of the public door. It has exactly one action: job, call or static.
type Route struct {
	// Path, exact as in /reports or with all that is below as in /files/*.
	Match string `yaml:"match" required:"true"`
	// HTTP methods; empty is POST for job and call, GET and HEAD for static.
	Methods []string `yaml:"methods"`
	// Function to enqueue; the answer is 202 with links to follow the job.
	Job string `yaml:"job"`
	// Function to call; the answer is its result.
	Call string `yaml:"call"`
	// Folder of files to serve.
	Static string `yaml:"static" path:"true"`
}
