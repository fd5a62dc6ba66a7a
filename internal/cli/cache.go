package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
)

func (a *app) cacheCommand() *cobra.Command {
	return group("cache", "Look at the answers that the gateway keeps, and forget some", a.cacheStats(), a.cachePurge())
}

func (a *app) cacheStats() *cobra.Command {
	return &cobra.Command{
		Use: "stats", Short: "Show what is kept, and how often it was of use", Args: needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var told struct {
				Entries, Evicted, Purged int
				Bytes, Limit             int64
				Routes                   map[string]struct{ Hit, Stale, Revalidated, Collapsed, Miss, Bypass int }
			}
			show, err := a.ask(cmd.Context(), request{method: http.MethodGet, path: []string{"cache"}}, &told)
			if err != nil || !show {
				return err
			}
			fmt.Fprintf(a.Stdout, "%d answers, %s of %s; %d evicted, %d purged\n", told.Entries, size(told.Bytes), size(told.Limit), told.Evicted, told.Purged)
			if len(told.Routes) == 0 {
				return nil
			}
			var rows [][]string
			for _, route := range slices.Sorted(maps.Keys(told.Routes)) {
				c := told.Routes[route]
				rows = append(rows, []string{route, strconv.Itoa(c.Hit), strconv.Itoa(c.Stale), strconv.Itoa(c.Revalidated), strconv.Itoa(c.Collapsed), strconv.Itoa(c.Miss), strconv.Itoa(c.Bypass)})
			}
			return table(a.Stdout, []string{"route", "hit", "stale", "revalidated", "collapsed", "miss", "bypass"}, rows)
		},
	}
}

func (a *app) cachePurge() *cobra.Command {
	var asked struct {
		Tags     []string `json:"tags,omitempty"`
		Prefixes []string `json:"prefixes,omitempty"`
		Host     string   `json:"host,omitempty"`
		All      bool     `json:"all,omitempty"`
	}
	cmd := &cobra.Command{
		Use: "purge [PREFIX...]", Short: "Forget answers, by the beginning of their path, by tag, or all", Args: cobra.ArbitraryArgs,
		Example: "  headrace cache purge /products /offers/1\n  headrace cache purge --tag product-42",
		RunE: func(cmd *cobra.Command, args []string) error {
			asked.Prefixes = args
			if !asked.All && len(asked.Tags)+len(args) == 0 {
				return usage("purge needs a path, --tag or --all").Hinting("write headrace cache purge /path")
			}
			body, err := json.Marshal(asked)
			if err != nil {
				return err
			}
			var told struct{ Purged int }
			show, err := a.ask(cmd.Context(), request{method: http.MethodPost, path: []string{"cache", "purge"}, body: bytes.NewReader(body),
				header: http.Header{"Content-Type": {"application/json"}}}, &told)
			if err != nil || !show {
				return err
			}
			_, err = fmt.Fprintf(a.Stdout, "%d purged\n", told.Purged)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&asked.Tags, "tag", nil, "answers with this tag, repeatable")
	flags.StringVar(&asked.Host, "host", "", "only answers of this host (default any)")
	flags.BoolVar(&asked.All, "all", false, "everything, or everything of --host")
	return cmd
}
