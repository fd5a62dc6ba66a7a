package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) liveCommand() *cobra.Command {
	return group("live", "Look at live channels and connections; publish, follow, disconnect, make tokens",
		a.liveChannels(), a.liveConnections(), a.liveTail(), a.livePublish(), a.liveDisconnect(), a.liveToken())
}

func (a *app) liveChannels() *cobra.Command {
	cmd := &cobra.Command{
		Use: "channels [PATTERN]", Short: "List the channels that have subscribers; * in the pattern stands for anything", Args: needs("[PATTERN]"),
		Example: "  headrace live channels 'chat:*'",
		RunE: func(cmd *cobra.Command, args []string) error {
			filter := query(cmd.Flags())
			if len(args) > 0 {
				filter.Set("pattern", args[0])
			}
			var told struct {
				Channels []struct {
					Name        string
					Subscribers int
				}
				Total int
			}
			show, err := a.ask(cmd.Context(), request{method: http.MethodGet, path: []string{"live", "channels"}, query: filter}, &told)
			if err != nil || !show {
				return err
			}
			rows := make([][]string, len(told.Channels))
			for i, c := range told.Channels {
				rows[i] = []string{c.Name, strconv.Itoa(c.Subscribers)}
			}
			if err := table(a.Stdout, []string{"channel", "subscribers"}, rows); err != nil {
				return err
			}
			switch {
			case told.Total == 0:
				fmt.Fprintln(a.Stderr, "nobody is subscribed to such a channel")
			case told.Total > len(rows):
				fmt.Fprintf(a.Stderr, "%d of %d; more with: --limit %d\n", len(rows), told.Total, min(told.Total, 100_000))
			}
			return nil
		},
	}
	cmd.Flags().Int("limit", 1000, "most channels to list, up to 100000")
	return cmd
}

func (a *app) liveConnections() *cobra.Command {
	cmd := &cobra.Command{
		Use: "connections", Short: "List the connections of clients", Args: needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var told struct {
				Connections []struct {
					Client, User, Transport, Protocol, Address string
					Channels                                   []string
					Queued                                     int64
				}
				More bool
			}
			show, err := a.ask(cmd.Context(), request{method: http.MethodGet, path: []string{"live", "connections"}, query: query(cmd.Flags())}, &told)
			if err != nil || !show {
				return err
			}
			rows := make([][]string, len(told.Connections))
			for i, c := range told.Connections {
				rows[i] = []string{c.Client, c.User, c.Transport, c.Protocol, c.Address, some(c.Channels), size(c.Queued)}
			}
			if err := table(a.Stdout, []string{"client", "user", "transport", "protocol", "address", "channels", "queued"}, rows); err != nil {
				return err
			}
			switch {
			case len(rows) == 0:
				fmt.Fprintln(a.Stderr, "nobody is connected")
			case told.More:
				fmt.Fprintf(a.Stderr, "there are more; list them with: --limit %d\n", min(10*len(rows), 10_000))
			}
			return nil
		},
	}
	cmd.Flags().String("user", "", "only those of this user")
	cmd.Flags().Int("limit", 100, "most connections to list, up to 10000")
	return cmd
}

// some is the first names of a list, and how many follow.
func some(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, " ")
	}
	return fmt.Sprintf("%s +%d", strings.Join(names[:most], " "), len(names)-most)
}

func (a *app) livePublish() *cobra.Command {
	var tags map[string]string
	var key, idempotency string
	cmd := &cobra.Command{
		Use: "publish CHANNEL DATA", Short: "Publish in a channel; DATA is JSON, @FILE, or - for stdin", Args: needs("CHANNEL", "DATA"),
		Example: `  headrace live publish chat:lobby '{"text": "hello"}'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := a.input(args[1])
			if err != nil {
				return err
			}
			if !json.Valid(data) {
				return usage("the data is not JSON").Hinting(`write one JSON value in single quotes, as in '{"text": "hello"}' or '"hello"'`)
			}
			body, err := json.Marshal(struct {
				Channel     string            `json:"channel"`
				Data        json.RawMessage   `json:"data"`
				Key         string            `json:"key,omitempty"`
				Tags        map[string]string `json:"tags,omitempty"`
				Idempotency string            `json:"idempotency_key,omitempty"`
			}{args[0], data, key, tags, idempotency})
			if err != nil {
				return err
			}
			var told struct {
				Offset  uint64
				Epoch   string
				Skipped bool
			}
			show, err := a.post(cmd, "publish", body, &told)
			if err != nil || !show {
				return err
			}
			switch {
			case told.Skipped:
				fmt.Fprintln(a.Stderr, "it was published before")
			case told.Offset == 0:
				fmt.Fprintln(a.Stderr, "published to those who are there; the channel has no history")
			}
			if told.Offset > 0 {
				fmt.Fprintf(a.Stdout, "%d %s\n", told.Offset, told.Epoch)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "of publications of which only the latest matters to a slow client")
	cmd.Flags().StringToStringVar(&tags, "tags", nil, "given to subscribers, as in --tags source=cli")
	cmd.Flags().StringVar(&idempotency, "idempotency-key", "", "publish once with this key in 5 minutes")
	return cmd
}

// post sends JSON to a verb of the live plane.
func (a *app) post(cmd *cobra.Command, verb string, body []byte, v any) (show bool, err error) {
	return a.ask(cmd.Context(), request{method: http.MethodPost, path: []string{"live", verb}, body: bytes.NewReader(body),
		header: http.Header{"Content-Type": {"application/json"}}}, v)
}

func (a *app) liveDisconnect() *cobra.Command {
	var whom struct {
		User   string `json:"user,omitempty"`
		Client string `json:"client,omitempty"`
		Code   uint32 `json:"code,omitempty"`
		Reason string `json:"reason,omitempty"`
	}
	cmd := &cobra.Command{
		Use: "disconnect", Short: "End the connections of a user, or one of them", Args: needs(),
		Example: "  headrace live disconnect --user 42 --code 4500 --reason banned",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if whom.User == "" && whom.Client == "" {
				return usage("disconnect needs --user or --client").Hinting("find them with: headrace live connections")
			}
			body, err := json.Marshal(whom)
			if err != nil {
				return err
			}
			var told struct{ Disconnected int }
			show, err := a.post(cmd, "disconnect", body, &told)
			if err != nil || !show {
				return err
			}
			_, err = fmt.Fprintf(a.Stdout, "%d disconnected\n", told.Disconnected)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&whom.User, "user", "", "whose connections")
	flags.StringVar(&whom.Client, "client", "", "which connection")
	flags.Uint32Var(&whom.Code, "code", 0, "3000 to 4999; clients come back after 3000 to 3499 and 4000 to 4499 (default 3503, they do not)")
	flags.StringVar(&whom.Reason, "reason", "", "what the clients are told")
	return cmd
}

// tailQuery is the query of a tail.
func tailQuery(channel string, history int) url.Values {
	q := url.Values{"channel": {channel}}
	if history > 0 {
		q.Set("history", strconv.Itoa(history))
	}
	return q
}
