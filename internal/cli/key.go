package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) keyCommand() *cobra.Command {
	return group("key", "Make, list and revoke API keys of the gateway", a.keyCreate(), a.keyList(), a.keyShow(), a.keyRevoke())
}

// shownKey is an API key as the API shows it.
type shownKey struct {
	ID, Key, Owner, Name, Quota string
	Scopes, Routes              []string
	Count                       int
	Created, Expires, Used      time.Time
}

func (a *app) keyCreate() *cobra.Command {
	var asked struct {
		Owner    string            `json:"owner"`
		Name     string            `json:"name,omitempty"`
		Scopes   []string          `json:"scopes,omitempty"`
		Routes   []string          `json:"routes,omitempty"`
		Quota    string            `json:"quota,omitempty"`
		Expires  string            `json:"expires,omitempty"`
		Metadata map[string]string `json:"metadata,omitempty"`
	}
	cmd := &cobra.Command{
		Use: "create", Short: "Make a key and print it; headrace keeps a hash only", Args: needs(),
		Example: "  headrace key create --owner ann --name ci --scope orders:read --expires 90d --quota 1000/h",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asked.Owner == "" {
				return usage("create needs --owner").Hinting("write --owner NAME, who the requests are from")
			}
			body, err := json.Marshal(asked)
			if err != nil {
				return err
			}
			var told shownKey
			show, err := a.ask(cmd.Context(), request{method: http.MethodPost, path: []string{"keys"}, body: bytes.NewReader(body),
				header: http.Header{"Content-Type": {"application/json"}}}, &told)
			if err != nil || !show {
				return err
			}
			fmt.Fprintln(a.Stdout, told.Key)
			fmt.Fprintf(a.Stderr, "keep it now, it is not shown again; revoke it with: headrace key revoke %s\n", told.ID)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&asked.Owner, "owner", "", "who the requests are from")
	flags.StringVar(&asked.Name, "name", "", "what the key is for")
	flags.StringSliceVar(&asked.Scopes, "scope", nil, "what it may do, repeatable")
	flags.StringSliceVar(&asked.Routes, "route", nil, "name of a route that it may use, * standing for anything, repeatable (default all)")
	flags.StringVar(&asked.Quota, "quota", "", "requests in a period, as in 1000/h or 100000/30d (default no limit)")
	flags.StringVar(&asked.Expires, "expires", "", "when it ends: a duration from now, as in 90d, or a time (default never)")
	flags.StringToStringVar(&asked.Metadata, "metadata", nil, "claims metadata.NAME of the requests, as in --metadata plan=gold")
	return cmd
}

func (a *app) keyList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the keys, the oldest first", Args: needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var told struct{ Keys []shownKey }
			show, err := a.ask(cmd.Context(), request{method: http.MethodGet, path: []string{"keys"}, query: query(cmd.Flags())}, &told)
			if err != nil || !show {
				return err
			}
			rows := make([][]string, len(told.Keys))
			for i, k := range told.Keys {
				rows[i] = []string{k.ID, k.Owner, k.Name, strings.Join(k.Scopes, " "), k.spent(), ago(k.Created), ago(k.Used), ends(k.Expires)}
			}
			if err := table(a.Stdout, []string{"id", "owner", "name", "scopes", "quota", "created", "used", "expires"}, rows); err != nil {
				return err
			}
			if len(rows) == 0 {
				fmt.Fprintln(a.Stderr, "there is no key; make one with: headrace key create --owner NAME")
			}
			return nil
		},
	}
	cmd.Flags().String("owner", "", "only those of this owner")
	return cmd
}

// spent is how much of the quota is used up.
func (k *shownKey) spent() string {
	if k.Quota == "" {
		return ""
	}
	return strconv.Itoa(k.Count) + " of " + k.Quota
}

// ends is when a key ends.
func ends(t time.Time) string {
	if !t.IsZero() && t.Before(time.Now()) {
		return "expired"
	}
	return ago(t)
}

func (a *app) keyShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a key and what was done with it", Args: needs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var told json.RawMessage
			show, err := a.ask(cmd.Context(), request{method: http.MethodGet, path: []string{"keys", keyID(args[0])}}, &told)
			if err != nil || !show {
				return err
			}
			return fields(a.Stdout, told)
		},
	}
}

func (a *app) keyRevoke() *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Short: "Revoke a key, on all nodes within a second", Args: needs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id := keyID(args[0])
			show, err := a.ask(cmd.Context(), request{method: http.MethodDelete, path: []string{"keys", id}}, nil)
			if err != nil || !show {
				return err
			}
			_, err = fmt.Fprintf(a.Stdout, "%s: revoked\n", id)
			return err
		},
	}
}

// keyID is the id of a key, also where the whole key was given, whose secret then goes nowhere.
func keyID(text string) string {
	if rest, ok := strings.CutPrefix(text, "hr_"); ok {
		text, _, _ = strings.Cut(rest, "_")
	}
	return text
}
