package explain

import (
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// serviceNotes returns what there is to note of services, where a policy that was
// asked about the connection refers to one: endpoints that are guessed, a service
// that does not exist.
func (x *explanation) serviceNotes(findings []store.Finding) []string {
	asked := map[policy.Key]bool{}
	for _, d := range []policy.Decision{x.result.Egress, x.result.Ingress} {
		for _, t := range d.Trace {
			for _, p := range t.Policies {
				asked[p.Key] = true
			}
		}
		for _, p := range d.Profiles {
			asked[p.Key] = true
		}
	}
	refers := false
	for _, p := range x.model.Policies {
		refers = refers || asked[p.Key] && refersToService(p)
	}
	if !refers {
		return nil
	}
	var notes []string
	for _, f := range findings {
		about := f.Key.Kind == policy.KindService || asked[f.Key] && f.About.Kind == policy.KindService
		if f.Note && about {
			notes = append(notes, f.Error())
		}
	}
	return notes
}

func refersToService(p *policy.Policy) bool {
	is := func(e *policy.PeerSet) bool {
		_, service := e.Service()
		return service
	}
	for _, rules := range p.Rules {
		for i := range rules {
			if is(rules[i].Source.Set) || is(rules[i].Destination.Set) {
				return true
			}
		}
	}
	return false
}
