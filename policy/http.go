package policy

// HTTPMatch matches HTTP requests by method and path; a nil list matches any.
type HTTPMatch struct {
	Methods []string // as in "GET"
	Paths   []HTTPPath
}

// HTTPPath matches a path, as it is after normalisation: either all of it or
// its beginning.
type HTTPPath struct {
	Exact, Prefix string // one of them is empty
}

// HTTPRequest is what policy sees of a request.
type HTTPRequest struct {
	Method string
	Path   string // normalised, without query
}
