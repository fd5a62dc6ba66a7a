package control_test

import (
	"testing"
)

func TestSmoke(t *testing.T) {
	r := newRig(t)
	for _, c := range [][3]string{{"POST", "/v1/jobs/send?wait=5s", `{"to":"a"}`}, {"POST", "/v1/jobs/send", `{"to":"a"}`}, {"POST", "/v1/calls/answer", `{"index":5}`},
		{"POST", "/v1/jobs", `[{"function":"noop","ref":"x"},{"function":"send","args":{"to":"x"},"after":["@x"]},{"function":"nope"}]`},
		{"GET", "/v1/jobs", ""}, {"GET", "/v1/queues", ""}, {"GET", "/v1/pools", ""}, {"GET", "/v1/functions/send", ""}, {"GET", "/metrics", ""}, {"GET", "/readyz", ""},
		{"POST", "/v1/calls/count", `{"n":3,"fail":true}`}, {"POST", "/v1/calls/wrong", `{}`}, {"POST", "/v1/calls/slow", `{}`}, {"POST", "/v1/calls/dies", `{}`}, {"POST", "/v1/calls/double", `{"value":4}`}} {
		a := r.do(c[0], c[1], c[2])
		t.Log(c[0], c[1], a.status, a.body[:min(len(a.body), 600)])
	}
	id := r.enqueue("/v1/jobs/story", "{}")
	t.Log(r.do("GET", "/v1/jobs/"+id+"/events", ""))
	t.Log(r.do("GET", "/v1/jobs/"+id+"/events", "", "Last-Event-ID", "2"))
	t.Log(r.do("GET", "/v1/jobs/"+id+"/events?after=99", ""))
	t.Log(r.do("GET", "/v1/jobs/"+id+"/logs", ""))
}
