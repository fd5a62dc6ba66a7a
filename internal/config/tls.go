package config

import "time"

// TLS is the public door with TLS: HTTP/1.1 and HTTP/2, and HTTP/3 if asked for.
type TLS struct {
	// Address to listen on, as in :8443.
	Listen string `yaml:"listen" pattern:"address"`
	// Certificates from files; they are read again on reload. A client gets the one for the name it asks for, otherwise the first.
	Certificates []Certificate `yaml:"certificates"`
	// Certificates from an authority that speaks ACME, such as Let's Encrypt.
	ACME *ACME `yaml:"acme"`
	// Lowest version of TLS.
	MinVersion string `yaml:"min_version" enum:"1.2,1.3"`
	// PEM file of the authorities whose client certificates are taken. It is read again on reload.
	ClientCA string `yaml:"client_ca" path:"true"`
	// Whether clients show a certificate: none does not ask, request takes those that have none, require takes nobody else. A certificate that
	// is shown must be of client_ca.
	ClientAuth string `yaml:"client_auth" enum:"none,request,require"`
	// Serve HTTP/3, too, on the UDP port of the same number, and tell clients with the header Alt-Svc.
	HTTP3 bool `yaml:"http3"`
	// Send clients from the plain door to this one, but for the challenges of ACME.
	Redirect bool `yaml:"redirect"`
	// Port that clients see, for redirect and Alt-Svc; 0 is that of listen.
	PublicPort int `yaml:"public_port" min:"0" max:"65535"`
}

// Certificate is a certificate in files.
type Certificate struct {
	// PEM file of the certificate and those between it and the authority.
	Certificate string `yaml:"certificate" path:"true" required:"true"`
	// PEM file of the key.
	Key string `yaml:"key" path:"true" required:"true"`
}

func (t *TLS) defaults() { *t = TLS{Listen: ":8443", MinVersion: "1.2", ClientAuth: "none"} }

// ACME gets certificates and renews them. They are kept in the engine, where all nodes that share it find them. Changes take effect with a
// restart.
type ACME struct {
	// Names to get certificates for, one each. A wildcard is not possible, since it is proved in the DNS.
	Hosts []string `yaml:"hosts"`
	// Address that the authority writes to if something is wrong.
	Email string `yaml:"email"`
	// Address of the authority's directory. That of the staging environment of Let's Encrypt is
	// https://acme-staging-v02.api.letsencrypt.org/directory.
	Directory string `yaml:"directory"`
	// PEM file of the authority that the directory's own certificate is of; empty takes those of the system.
	CA string `yaml:"ca" path:"true"`
	// Kind of key.
	KeyType string `yaml:"key_type" enum:"p256,p384,ed25519,rsa2048,rsa4096"`
	// How the names are proved: http at port 80, which must lead to server.listen, tls-alpn at port 443, which must lead to server.tls.listen.
	Challenges []string `yaml:"challenges"`
	// Identifier of an account that the authority has given beforehand; empty makes an account of its own.
	AccountKeyID string `yaml:"account_key_id"`
	// Key of that account, in base64 for addresses.
	AccountKey string `yaml:"account_key" secret:"true"`
	// How often it is looked whether certificates must be renewed; that is when a third of their life is left.
	RenewInterval time.Duration `yaml:"renew_interval" min:"1s"`
}

func (a *ACME) defaults() {
	*a = ACME{
		Directory: "https://acme-v02.api.letsencrypt.org/directory", KeyType: "p256", Challenges: []string{"http", "tls-alpn"}, RenewInterval: 10 * time.Minute,
	}
}
