// Command centrifuge is a small server on the Go library centrifuge with its defaults: JSON, memory engine. It is a module of its own,
// so that headrace does not depend on its rival.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/golang-jwt/jwt/v5"
)

func main() {
	if err := serve(os.Getenv("BENCH_PORT"), []byte(os.Getenv("BENCH_SECRET"))); err != nil {
		log.Fatal(err)
	}
}

func serve(port string, secret []byte) error {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return err
	}
	node.OnConnecting(func(_ context.Context, event centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		if event.Token == "" {
			return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{}}, nil
		}
		var claims jwt.RegisteredClaims
		_, err := jwt.ParseWithClaims(event.Token, &claims, func(*jwt.Token) (any, error) { return secret, nil }, jwt.WithValidMethods([]string{"HS256"}))
		if err != nil {
			return centrifuge.ConnectReply{}, centrifuge.DisconnectInvalidToken
		}
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{UserID: claims.Subject, ExpireAt: claims.ExpiresAt.Unix()}, ClientSideRefresh: true}, nil
	})
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(event centrifuge.SubscribeEvent, answer centrifuge.SubscribeCallback) {
			answer(centrifuge.SubscribeReply{Options: centrifuge.SubscribeOptions{EnableRecovery: durable(event.Channel)}}, nil)
		})
	})
	if err := node.Run(); err != nil {
		return err
	}
	http.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{}))
	http.HandleFunc("POST /publish", func(w http.ResponseWriter, r *http.Request) {
		if err := publish(node, r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = w.Write([]byte("{}"))
	})
	return http.ListenAndServe("127.0.0.1:"+port, nil)
}

// publish publishes the body of a request, {"channel": …, "data": …}.
func publish(node *centrifuge.Node, r *http.Request) error {
	var publication struct {
		Channel string
		Data    json.RawMessage
	}
	if err := json.NewDecoder(r.Body).Decode(&publication); err != nil {
		return err
	}
	if publication.Channel == "" {
		return errors.New("no channel")
	}
	var options []centrifuge.PublishOption
	if durable(publication.Channel) {
		options = append(options, centrifuge.WithHistory(10_000, time.Hour))
	}
	_, err := node.Publish(publication.Channel, publication.Data, options...)
	return err
}

// durable is whether the channel has history: its namespace says so, as in the configuration of headrace.
func durable(channel string) bool { return strings.HasPrefix(channel, "durable:") }
