package openapi

import (
	"encoding/json"
	"errors"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// formats are those of OpenAPI beside those of JSON Schema. Of the others nothing is said.
var formats = []*jsonschema.Format{
	{Name: "int32", Validate: func(v any) error { return whole(v, 32) }},
	{Name: "int64", Validate: func(v any) error { return whole(v, 64) }},
}

// whole holds a number that is whole against a width; what is none is the matter of type.
func whole(v any, bits int) error {
	n, ok := v.(json.Number)
	if !ok {
		return nil
	}
	_, err := strconv.ParseInt(n.String(), 10, bits)
	if errors.Is(err, strconv.ErrRange) {
		return err
	}
	return nil
}
