// Command reverseproxy is a proxy on Go's net/http and httputil.ReverseProxy, with enough idle connections to the upstream and a pool of
// buffers. The guarded one has golang-jwt, x/time/rate by address, slog in JSON to a file, and counters of client_golang.
package main

import (
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/time/rate"
)

func main() {
	target := &url.URL{Scheme: "http", Host: os.Getenv("BENCH_UPSTREAM")}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		Transport: &http.Transport{
			DialContext:  (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
			MaxIdleConns: 1024, MaxIdleConnsPerHost: 1024, IdleConnTimeout: time.Minute, DisableCompression: true,
		},
		BufferPool: buffers{},
	}
	secured := &http.Server{Addr: os.Getenv("BENCH_TLS"), Handler: proxy, IdleTimeout: 2 * time.Minute}
	go func() { log.Fatal(secured.ListenAndServeTLS(os.Getenv("BENCH_CERTIFICATE"), os.Getenv("BENCH_KEY"))) }()
	behind := &http.Server{Addr: os.Getenv("BENCH_GUARDED"), Handler: guarded(proxy), IdleTimeout: 2 * time.Minute}
	go func() { log.Fatal(behind.ListenAndServe()) }()
	plain := &http.Server{Addr: os.Getenv("BENCH_PLAIN"), Handler: proxy, IdleTimeout: 2 * time.Minute}
	log.Fatal(plain.ListenAndServe())
}

// buffers is the pool of what bodies are copied through.
type buffers struct{}

var pool = sync.Pool{New: func() any { return make([]byte, 32<<10) }}

func (buffers) Get() []byte  { return pool.Get().([]byte) }
func (buffers) Put(b []byte) { pool.Put(b) }

func guarded(next http.Handler) http.Handler {
	file, err := os.Create("access.log")
	if err != nil {
		log.Fatal(err)
	}
	access := slog.New(slog.NewJSONHandler(file, nil))
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_seconds", Help: "Time of requests."}, []string{"method", "status"})
	prometheus.MustRegister(took)
	secret := []byte(os.Getenv("BENCH_SECRET"))
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired())
	var limits sync.Map // address → *rate.Limiter
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.Handler())
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		answer := &recorder{ResponseWriter: w, status: http.StatusOK}
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		limit, ok := limits.Load(host)
		if !ok {
			limit, _ = limits.LoadOrStore(host, rate.NewLimiter(1_000_000, 1_000_000))
		}
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !limit.(*rate.Limiter).Allow() {
			http.Error(answer, "too many requests", http.StatusTooManyRequests)
		} else if _, err := parser.Parse(token, func(*jwt.Token) (any, error) { return secret, nil }); err != nil {
			http.Error(answer, "unauthorized", http.StatusUnauthorized)
		} else {
			next.ServeHTTP(answer, r)
		}
		spent := time.Since(begun)
		took.WithLabelValues(r.Method, strconv.Itoa(answer.status)).Observe(spent.Seconds())
		access.LogAttrs(r.Context(), slog.LevelInfo, "request", slog.String("client", host), slog.String("method", r.Method),
			slog.String("path", r.URL.Path), slog.Int("status", answer.status), slog.Int64("bytes", answer.bytes), slog.Duration("took", spent))
	})
	return mux
}

// recorder remembers the status and the size of an answer.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
