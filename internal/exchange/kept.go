package exchange

// Kept is a body that is kept in memory for more answers, with forms of it beside it, such as compressed ones.
type Kept interface {
	// Form is the form with a key; ok is false if there is none yet. It is nil if it is known to be of no use.
	Form(key string) (form []byte, ok bool)
	// Make makes a form of the body, once for all who ask for it at a time, and keeps it if there is room. ok is false if create says so;
	// it is asked again the next time.
	Make(key string, create func(body []byte) (form []byte, ok bool)) (form []byte, ok bool)
}

// AnswerKept gives a body that is kept. Nobody may change its bytes.
func (r *Request) AnswerKept(body []byte, kept Kept) {
	r.Response.SetBodyRaw(body)
	r.kept, r.keptBody = kept, body
}

// Kept is what was given with AnswerKept; nil if the answer has another body by now, or only a part of it.
func (r *Request) Kept() Kept {
	if r.kept == nil || r.Response.IsBodyStream() {
		return nil
	}
	body := r.Response.Body()
	if len(body) == 0 || len(body) != len(r.keptBody) || &body[0] != &r.keptBody[0] {
		return nil
	}
	return r.kept
}
