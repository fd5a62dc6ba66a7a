package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// printJSON writes a document and a newline, as it came.
func (a *app) printJSON(body []byte) error {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		body = []byte("{}")
	}
	_, err := a.Stdout.Write(append(body, '\n'))
	return err
}

// table writes aligned columns. A cell that is empty is shown as -.
func table(w io.Writer, header []string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if header != nil {
		fmt.Fprintln(t, strings.ToUpper(strings.Join(header, "\t")))
	}
	for _, row := range rows {
		for i, cell := range row {
			row[i] = or(printable(cell), "-")
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// printable removes what could move the cursor or break the columns: names and errors come from outside.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, text)
}

// ago is a time as a person reads it: 5s, 3m, 2h, 4d, or the date.
func ago(t time.Time) string {
	d := time.Since(t)
	switch {
	case t.IsZero():
		return ""
	case d < -time.Second:
		return "in " + span(-d)
	case d > 30*24*time.Hour:
		return t.Local().Format(time.DateOnly)
	}
	return span(d)
}

func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

// fields writes the members of a JSON object as two columns, in the order they came; empty ones are left out.
func fields(w io.Writer, object []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(object))
	decoder.UseNumber()
	if opening, err := decoder.Token(); err != nil || opening != json.Delim('{') {
		_, err = fmt.Fprintf(w, "%s\n", bytes.TrimSpace(object))
		return err
	}
	var rows [][]string
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return err
		}
		text := string(value)
		var plain string
		if json.Unmarshal(value, &plain) == nil {
			text = plain
		}
		if text != "" && text != "null" && text != "[]" && text != "{}" {
			rows = append(rows, []string{fmt.Sprint(name), text})
		}
	}
	return table(w, nil, rows)
}
