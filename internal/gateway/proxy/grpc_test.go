package proxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/headrace/headrace/internal/config"
)

// calls is a service that shows what a proxy could spoil.
type calls struct {
	pb.UnimplementedTestServiceServer
	ended chan error // of calls whose client went away
}

func (s *calls) UnaryCall(ctx context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-head", strings.Join(md.Get("x-ask"), ","), "x-data-bin", "\x00\xff"))
	_ = grpc.SetTrailer(ctx, metadata.Pairs("x-tail", "end", "x-tail-bin", "\x01"))
	if want := in.GetResponseStatus(); want != nil {
		return nil, status.Error(codes.Code(want.Code), want.Message)
	}
	if string(in.GetPayload().GetBody()) == "hang" {
		<-ctx.Done()
		s.ended <- ctx.Err()
		return nil, ctx.Err()
	}
	_, deadline := ctx.Deadline()
	return &pb.SimpleResponse{Payload: in.Payload, Username: fmt.Sprint(deadline, md.Get("x-forwarded-for"))}, nil
}

func (s *calls) StreamingOutputCall(in *pb.StreamingOutputCallRequest, to grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]) error {
	for _, p := range in.ResponseParameters {
		if err := to.Send(&pb.StreamingOutputCallResponse{Payload: &pb.Payload{Body: make([]byte, p.Size)}}); err != nil {
			return err
		}
	}
	return nil
}

func (s *calls) StreamingInputCall(from grpc.ClientStreamingServer[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse]) error {
	size := 0
	for {
		in, err := from.Recv()
		if err == io.EOF {
			return from.SendAndClose(&pb.StreamingInputCallResponse{AggregatedPayloadSize: int32(size)})
		}
		if err != nil {
			return err
		}
		size += len(in.Payload.Body)
	}
}

func (s *calls) FullDuplexCall(both grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]) error {
	for {
		in, err := both.Recv()
		if err == io.EOF {
			return status.Error(codes.Aborted, "that was all")
		}
		if err != nil {
			return err
		}
		if err := both.Send(&pb.StreamingOutputCallResponse{Payload: in.Payload}); err != nil {
			return err
		}
	}
}

func h2service(address string) *config.Upstream {
	u := service(address)
	u.Protocol = "h2"
	return u
}

// h2c is a door for HTTP/2 in front of the rig.
func (g *rig) h2c(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: g.door, Protocols: &http.Protocols{}}
	s.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = s.Serve(listener) }()
	t.Cleanup(func() { _ = s.Close() })
	return listener.Addr().String()
}

func startCalls(t testing.TB) (*calls, string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	service := &calls{ended: make(chan error, 1)}
	server := grpc.NewServer()
	pb.RegisterTestServiceServer(server, service)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return service, "http://" + listener.Addr().String()
}

func client(t testing.TB, address string) pb.TestServiceClient {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return pb.NewTestServiceClient(conn)
}

func TestGRPC(t *testing.T) {
	service, address := startCalls(t)
	g := start(t, options{route: config.Route{Proxy: "calls"}, upstreams: map[string]*config.Upstream{"calls": h2service(address)}, maxBody: 1000})
	c := client(t, g.h2c(t))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()

	var header, trailer metadata.MD
	asking := metadata.AppendToOutgoingContext(ctx, "x-ask", "one", "x-ask", "two")
	got, err := c.UnaryCall(asking, &pb.SimpleRequest{Payload: &pb.Payload{Body: []byte("hello")}}, grpc.Header(&header), grpc.Trailer(&trailer))
	if err != nil || string(got.Payload.Body) != "hello" || got.Username != "true [127.0.0.1]" {
		t.Fatal(got, err)
	}
	if strings.Join(header.Get("x-head"), "") != "one,two" || header.Get("x-data-bin")[0] != "\x00\xff" || strings.Join(trailer.Get("x-tail"), "") != "end" || trailer.Get("x-tail-bin")[0] != "\x01" {
		t.Error(header, trailer)
	}
	if _, err := c.UnaryCall(ctx, &pb.SimpleRequest{ResponseStatus: &pb.EchoStatus{Code: 9, Message: "not now, é"}}, grpc.Trailer(&trailer)); status.Code(err) != 9 || status.Convert(err).Message() != "not now, é" || len(trailer.Get("x-tail")) != 1 {
		t.Error(err, trailer)
	}
	if _, err := c.EmptyCall(ctx, &pb.Empty{}); status.Code(err) != codes.Unimplemented {
		t.Error(err)
	}

	out, err := c.StreamingOutputCall(ctx, &pb.StreamingOutputCallRequest{ResponseParameters: []*pb.ResponseParameters{{Size: 1}, {Size: 100000}, {Size: 0}, {Size: 1 << 20}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{1, 100000, 0, 1 << 20} {
		if m, err := out.Recv(); err != nil || len(m.Payload.Body) != want {
			t.Fatal(len(m.GetPayload().GetBody()), err)
		}
	}
	if _, err := out.Recv(); err != io.EOF {
		t.Error(err)
	}

	in, err := c.StreamingInputCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if err := in.Send(&pb.StreamingInputCallRequest{Payload: &pb.Payload{Body: make([]byte, 1000)}}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := in.CloseAndRecv(); err != nil || got.AggregatedPayloadSize != 50000 {
		t.Error(got, err)
	}

	both, err := c.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		body := strings.Repeat("x", i*1000)
		if err := both.Send(&pb.StreamingOutputCallRequest{Payload: &pb.Payload{Body: []byte(body)}}); err != nil {
			t.Fatal(err)
		}
		if m, err := both.Recv(); err != nil || string(m.Payload.Body) != body {
			t.Fatal(i, err)
		}
	}
	_ = both.CloseSend()
	if _, err := both.Recv(); status.Code(err) != codes.Aborted || status.Convert(err).Message() != "that was all" {
		t.Error(err)
	}

	short, stop := context.WithTimeout(ctx, 200*time.Millisecond)
	defer stop()
	if _, err := c.UnaryCall(short, &pb.SimpleRequest{Payload: &pb.Payload{Body: []byte("hang")}}); status.Code(err) != codes.DeadlineExceeded {
		t.Error(err)
	}
	<-service.ended
	leaving, leave := context.WithCancel(ctx)
	time.AfterFunc(100*time.Millisecond, leave)
	if _, err := c.UnaryCall(leaving, &pb.SimpleRequest{Payload: &pb.Payload{Body: []byte("hang")}}); status.Code(err) != codes.Canceled {
		t.Error(err)
	}
	select {
	case <-service.ended:
	case <-ctx.Done():
		t.Error("the call went on without its client")
	}
}

// A call that cannot be passed on gets a status of gRPC.
func TestGRPCUnavailable(t *testing.T) {
	g := start(t, options{route: config.Route{Proxy: "calls"}, upstreams: map[string]*config.Upstream{"calls": h2service("http://127.0.0.1:1")}})
	c := client(t, g.h2c(t))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := c.UnaryCall(ctx, &pb.SimpleRequest{}); status.Code(err) != codes.Unavailable || !strings.Contains(status.Convert(err).Message(), "HR4004") {
		t.Error(err)
	}
}

// Clients of HTTP/1.1 reach upstreams of HTTP/2, with bodies that stream and trailers.
func TestH2FromHTTP1(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Protocols: &http.Protocols{}, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/early" {
			http.Error(w, "no", 403)
			return
		}
		w.Header().Set("Trailer", "X-Sum")
		w.Header().Set("X-Proto", r.Proto+" "+r.RequestURI+" "+r.Host)
		n, err := io.Copy(w, r.Body)
		w.Header().Set("X-Sum", fmt.Sprint(n, err))
	})}
	s.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = s.Serve(listener) }()
	t.Cleanup(func() { _ = s.Close() })
	g := start(t, options{route: config.Route{Proxy: "up"}, upstreams: map[string]*config.Upstream{"up": h2service("http://" + listener.Addr().String())}})
	for _, size := range []int64{0, 5, 10000, 100000, 4 << 20} {
		for _, known := range []bool{true, false} {
			req, _ := http.NewRequest("POST", "http://"+g.address+"/a%2Fb?c", io.LimitReader(zeros{}, size))
			if req.ContentLength = size; !known {
				req.ContentLength = -1
			}
			if size == 0 && known {
				req.Body = nil
			}
			got, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(size, known, err)
			}
			n, err := io.Copy(io.Discard, got.Body)
			_ = got.Body.Close()
			if n != size || err != nil || got.Header.Get("X-Proto") != "HTTP/2.0 /a%2Fb?c "+g.address || got.Trailer.Get("X-Sum") != fmt.Sprint(size, " <nil>") {
				t.Error(size, known, n, err, got.Header, got.Trailer)
			}
		}
	}
	if got, body := g.ask(t, "POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: 50000000\r\n\r\n"+strings.Repeat("x", 1<<20)); got.StatusCode != 403 || !strings.Contains(body, "no") {
		t.Error(got.Status, body)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// The upstream hears of it when a client goes away, before the answer and during it.
func TestH2ClientGone(t *testing.T) {
	t.Parallel()
	ended := make(chan string, 2)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Protocols: &http.Protocols{}, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/during" {
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
		ended <- r.URL.Path
	})}
	s.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = s.Serve(listener) }()
	t.Cleanup(func() { _ = s.Close() })
	g := start(t, options{route: config.Route{Proxy: "up"}, upstreams: map[string]*config.Upstream{"up": h2service("http://" + listener.Addr().String())}})
	for _, path := range []string{"/before", "/during"} {
		c, r := dial(t, g)
		_, _ = io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: h\r\n\r\n")
		if path == "/during" {
			if head, err := readHead(r); err != nil || !strings.Contains(head, " 200 ") {
				t.Fatal(head, err)
			}
		}
		_ = c.Close()
		select {
		case got := <-ended:
			if got != path {
				t.Error(got)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s goes on without its client", path)
		}
	}
}

// Clients of HTTP/2 reach upstreams of HTTP/1.1.
func TestHTTP1FromH2(t *testing.T) {
	address := backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		w.Header().Set("X-Proto", r.Proto+" "+r.Host+" "+r.Header.Get("X-Forwarded-Host"))
		n, err := io.Copy(io.Discard, r.Body)
		_, _ = io.Copy(w, io.LimitReader(zeros{}, n))
		w.Header().Set("X-Sum", fmt.Sprint(n, err))
	})
	g := start(t, options{route: config.Route{Proxy: address}})
	transport := &http.Transport{Protocols: &http.Protocols{}}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	front := g.h2c(t)
	for _, size := range []int64{0, 5, 100000, 300000} {
		req, _ := http.NewRequest("POST", "http://"+front+"/x", io.LimitReader(zeros{}, size))
		req.ContentLength = -1
		if size == 5 {
			req.ContentLength = 5
		}
		got, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(size, err)
		}
		n, err := io.Copy(io.Discard, got.Body)
		_ = got.Body.Close()
		if n != size || err != nil || got.Header.Get("X-Proto") != "HTTP/1.1 "+front+" "+front || got.Trailer.Get("X-Sum") != fmt.Sprint(size, " <nil>") {
			t.Error(size, n, err, got.Header, got.Trailer)
		}
	}
}
