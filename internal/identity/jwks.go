package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxKeySet = 1 << 20 // bytes of a key set
	maxKeys   = 256     // keys that are taken from one
)

// keySet is the keys at an address. It keeps what it has while the server cannot be reached.
type keySet struct {
	address string
	options Options
	log     *slog.Logger
	changed func() // after a key went away or came
	client  *http.Client
	set     atomic.Pointer[[]key]
	read    atomic.Int64 // when set was read, Unix nanoseconds; 0 never

	mu      sync.Mutex
	asked   time.Time     // when the last request began
	pending chan struct{} // closed when the request under way is over; nil without one
	again   *time.Timer   // asks once more while the set is not there; nil without
	closed  bool
}

// leastAgain is the least pause before a set that is not there is asked for without a token.
const leastAgain = time.Second

func newKeySet(o Options, log *slog.Logger, changed func()) *keySet {
	s := &keySet{address: o.JWKS, options: o, log: log, changed: changed, client: &http.Client{Timeout: o.JWKSTimeout}}
	s.set.Store(&[]key{})
	s.ask()
	return s
}

func (s *keySet) keys() []key { return *s.set.Load() }

// touch asks for the key set in the background if it is old.
func (s *keySet) touch() {
	if time.Now().UnixNano()-s.read.Load() > int64(s.options.JWKSRefresh) {
		s.ask()
	}
}

// renew waits for the key set to be read again, and tells whether it was worth it: false if it was asked for a moment ago.
func (s *keySet) renew() bool {
	pending := s.ask()
	if pending == nil {
		return false
	}
	timeout := time.NewTimer(s.options.JWKSTimeout)
	defer timeout.Stop()
	select {
	case <-pending:
	case <-timeout.C:
	}
	return true
}

// ask begins a request if the last one is long enough ago, and returns the end of the one under way, or nil.
func (s *keySet) ask() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending != nil {
		return s.pending
	}
	if s.closed {
		return nil
	}
	if !s.asked.IsZero() && time.Since(s.asked) < s.options.JWKSRetry {
		return nil
	}
	s.asked, s.pending = time.Now(), make(chan struct{})
	go s.request()
	return s.pending
}

func (s *keySet) request() {
	ctx, cancel := context.WithTimeout(context.Background(), s.options.JWKSTimeout)
	defer cancel()
	keys, err := s.fetch(ctx)
	switch {
	case err != nil:
		s.log.Warn("key set cannot be read, the keys known are kept", "url", shown(s.address), "keys", len(s.keys()), "error", err)
	default:
		s.read.Store(time.Now().UnixNano())
		if !reflect.DeepEqual(keys, s.keys()) {
			s.set.Store(&keys)
			s.changed()
			s.log.Info("key set read", "url", shown(s.address), "keys", len(keys))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.pending)
	s.pending = nil
	s.tell(err)
}

// unread tells whether there has never been an answer.
func (s *keySet) unread() bool { return s.read.Load() == 0 }

// tell says how the set is: a failure counts if there are no keys yet, or those there are old. Then it is asked for again without waiting for a
// token. It is called with the mutex held.
func (s *keySet) tell(failure error) {
	if s.closed {
		return
	}
	if failure != nil && !s.unread() && time.Now().UnixNano()-s.read.Load() < 2*int64(s.options.JWKSRefresh) {
		return
	}
	if s.options.Told != nil {
		s.options.Told(shown(s.address), failure)
	}
	if failure != nil {
		s.again = time.AfterFunc(max(s.options.JWKSRetry, leastAgain), func() { s.ask() })
	}
}

// close ends the questions; a failure that was told is over.
func (s *keySet) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.again != nil {
		s.again.Stop()
	}
	if s.options.Told != nil {
		s.options.Told(shown(s.address), nil)
	}
}

func (s *keySet) fetch(ctx context.Context) ([]key, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := s.client.Do(request)
	if err != nil {
		if wrapped, ok := err.(*url.Error); ok { // it tells the address, which may hold a password
			err = wrapped.Err
		}
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answers %s", response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxKeySet+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxKeySet {
		return nil, fmt.Errorf("the answer is larger than %d bytes", maxKeySet)
	}
	return parseKeySet(body)
}

// parseKeySet takes the keys that can verify a token, and ignores the others: a set may hold keys for other purposes.
func parseKeySet(body []byte) ([]key, error) {
	var document struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(body, &document); err != nil {
		return nil, fmt.Errorf("the answer is not a key set: %w", err)
	}
	if document.Keys == nil {
		return nil, errors.New("the answer is not a key set: it has no keys")
	}
	keys := []key{}
	for _, raw := range document.Keys {
		var jwk jose.JSONWebKey
		if jwk.UnmarshalJSON(raw) != nil || !jwk.IsPublic() || jwk.Use != "" && jwk.Use != "sig" || len(keys) == maxKeys {
			continue
		}
		k, err := newKey(jwk.Key)
		if err != nil {
			continue
		}
		k.kid, k.algorithm = jwk.KeyID, jwk.Algorithm
		keys = append(keys, k)
	}
	return keys, nil
}

func shown(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Redacted()
}
