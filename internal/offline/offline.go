// Package offline turns one listing of a store into the model of an analysis, with
// everything that is wrong with the listing. Commands that answer questions and
// package manifest do this alike.
package offline

import (
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/cilium"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
)

// Options say what the listing does not.
type Options struct {
	// PlaceholderIPv6 also gives IPv6 addresses to endpoints without any.
	PlaceholderIPv6 bool
	// Cilium says what Cilium's policies tell apart and manifests do not.
	Cilium cilium.Options
}

// Translation says how the resources are translated.
func (o *Options) Translation() translate.Options {
	return translate.Options{Offline: true, PlaceholderIPv6: o.PlaceholderIPv6}
}

// State is what one listing comes to.
type State struct {
	// Loaded is the translated state. Its findings are all there are: those of the
	// listing, of the conversion of Cilium's policies and of the translation, sorted by place.
	translate.Loaded
	// Resources were translated: those of the listing, but in the place of Cilium's
	// policies what these are converted to.
	Resources []store.Resource
}

// Load converts and translates a listing. Invalid objects are left out of the model.
// What of Cilium's policies cannot be expressed is an error among the findings: the
// answer would be another one without.
func Load(listing store.Listing, opts *Options) State {
	state := State{Resources: listing.Resources}
	findings := listing.Findings
	if slices.ContainsFunc(listing.Resources, isCilium) {
		result := cilium.Convert(listing.Resources, opts.Cilium)
		others := slices.DeleteFunc(slices.Clone(listing.Resources), isCilium)
		state.Resources = append(others, result.Resources...)
		findings = slices.Concat(findings, result.Invalid, result.Lost, result.Notes)
	}
	state.Loaded = translate.Load(state.Resources, listing.Rejected, opts.Translation())
	state.Findings = joinPeers(slices.Clone(findings), state.Findings)
	slices.SortStableFunc(state.Findings, store.Finding.Compare)
	return state
}

// joinPeers returns what was found when objects were read and when they were translated.
// A peer that is empty only because something in it is no peer is one mistake: what it
// means until it is put right is said there.
func joinPeers(read, translated []store.Finding) []store.Finding {
	const consequence = "; until then "
	for _, f := range translated {
		i := -1
		if f.FailClosed {
			i = slices.IndexFunc(read, func(r store.Finding) bool {
				return r.FailClosed && r.Key == f.Key && strings.HasPrefix(r.Field, f.Field+".")
			})
		}
		if i < 0 {
			read = append(read, f)
			continue
		}
		if _, so, found := strings.Cut(f.Message, consequence); found && !strings.Contains(read[i].Message, consequence) {
			read[i].Message += consequence + so
		}
	}
	return read
}

func isCilium(r store.Resource) bool { return cilium.Is(&r) }
