package cli

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/internal/problem"
)

func (a *app) blobCommand() *cobra.Command {
	return group("blob", "Store and fetch files by their digest", a.blobPut(), a.blobGet())
}

func (a *app) blobPut() *cobra.Command {
	var kind, name string
	cmd := &cobra.Command{
		Use: "put FILE", Short: "Store a file, or - for stdin; prints its digest", Args: needs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := request{method: http.MethodPut, path: []string{"blobs"}, query: url.Values{}, header: http.Header{}, body: a.Stdin}
			if args[0] != "-" {
				file, err := os.Open(a.path(args[0]))
				if err != nil {
					return usage("%w", err).Hinting("name a file that can be read, or - for stdin")
				}
				defer file.Close()
				if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
					r.size = info.Size()
				}
				r.body = file
				name = or(name, filepath.Base(args[0]))
			}
			if name != "" {
				r.query.Set("name", name)
			}
			r.header.Set("Content-Type", or(kind, mime.TypeByExtension(filepath.Ext(name)), "application/octet-stream"))
			var told struct {
				Blob string `json:"$blob"`
				Size int64
			}
			show, err := a.ask(cmd.Context(), r, &told)
			if err != nil || !show {
				return err
			}
			fmt.Fprintln(a.Stdout, told.Blob)
			fmt.Fprintf(a.Stderr, "%d bytes stored\n", told.Size)
			return nil
		},
	}
	cmd.Flags().StringVar(&kind, "type", "", "media type (default by the ending of the name)")
	cmd.Flags().StringVar(&name, "name", "", "file name (default that of FILE)")
	return cmd
}

func (a *app) blobGet() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use: "get DIGEST", Short: "Write a blob to stdout or a file", Args: needs("DIGEST"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			answer, err := a.send(cmd.Context(), request{method: http.MethodGet, path: []string{"blobs", args[0]}})
			if err != nil {
				return err
			}
			defer answer.Body.Close()
			out := a.Stdout
			if to != "" {
				file, open := os.OpenFile(a.path(to), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
				if open != nil {
					return usage("%w", open).Hinting("name a file that is not there yet")
				}
				defer func() {
					if err = errors.Join(err, file.Close()); err != nil {
						_ = os.Remove(file.Name()) // half a blob is none
					}
				}()
				out = file
			}
			if _, err := io.Copy(out, answer.Body); err != nil {
				return problem.New("HR9006", "the blob broke off: %w", err).Hinting("fetch it again")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "file to write; an existing one is refused")
	return cmd
}
