package config

// TLS is the public door with TLS: HTTP/1.1 and HTTP/2, and HTTP/3 if asked for.
type TLS struct {
	// Address to listen on, as in :8443.
	Listen string `yaml:"listen" pattern:"address"`
	// Certificates from files; they are read again on reload.
	Certificates []Certificate `yaml:"certificates"`
}

// Certificate is a certificate in files.
type Certificate struct {
	// PEM file of the certificate and those between it and the authority.
	Certificate string `yaml:"certificate" path:"true" required:"true"`
	// PEM file of the key.
	Key string `yaml:"key" path:"true" required:"true"`
}

func (t *TLS) defaults() { *t = TLS{Listen: ":8443"} }
