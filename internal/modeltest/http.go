package modeltest

import (
	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/policy"
)

var (
	httpMethods = []string{"GET", "POST", "PURGE"}
	httpPaths   = []string{"/", "/a", "/a/b", "/ab", "/b"}
)

// drawHTTP draws what a rule demands of requests.
func drawHTTP(t *rapid.T) *policy.HTTPMatch {
	m := &policy.HTTPMatch{}
	if coin.Draw(t, "methods") {
		m.Methods = some(t, 1, 2, "methods", func() string { return one(t, append([]string{"*"}, httpMethods...), "method") })
	}
	if coin.Draw(t, "paths") {
		m.Paths = some(t, 1, 2, "paths", func() policy.HTTPPath {
			path := one(t, httpPaths, "path")
			if coin.Draw(t, "exact") {
				return policy.HTTPPath{Exact: path}
			}
			return policy.HTTPPath{Prefix: path}
		})
	}
	return m
}

// Requests draws HTTP requests, some without a path; nil for a few.
func Requests() *rapid.Generator[*policy.HTTPRequest] {
	return rapid.Custom(func(t *rapid.T) *policy.HTTPRequest {
		if chance(t, 10, "none") {
			return nil
		}
		return &policy.HTTPRequest{Method: one(t, httpMethods, "method"), Path: one(t, append([]string{""}, httpPaths...), "path")}
	})
}
