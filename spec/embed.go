// Package spec holds the artefacts that every language shares: the frame contract, its vectors, the error catalogue and
// the OpenAPI document.
package spec

import _ "embed"

// Errors is the error catalogue, errors.yaml.
//
//go:embed errors.yaml
var Errors []byte
