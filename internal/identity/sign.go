package identity

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// Sign makes a token with HS256. The claims become JSON as encoding/json writes them, and must be an object.
func Sign(secret []byte, claims any) (string, error) {
	if len(secret) == 0 {
		return "", errors.New("there is no secret to sign a token with")
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("claims: %w", err)
	}
	if payload[0] != '{' {
		return "", errors.New("claims are not a JSON object")
	}
	signing := encoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encoding.EncodeToString(payload)
	signature, err := jwt.SigningMethodHS256.Sign(signing, secret)
	if err != nil {
		return "", err
	}
	return signing + "." + encoding.EncodeToString(signature), nil
}
