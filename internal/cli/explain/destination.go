package explain

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/tierwall/tierwall/internal/cli/ends"
)

// splitPort takes the port from behind the destination, as in web/api:8080.
func (o *options) splitPort() error {
	to, port, found := splitPort(o.to)
	if !found {
		return nil
	}
	if o.flow.port != "" && o.flow.port != port {
		return fmt.Errorf("--to %s names port %s, and --port says %s: give one of them", o.to, port, o.flow.port)
	}
	o.to, o.flow.port = to, port
	return nil
}

// splitPort returns what stands before and behind the last colon, if that is a port: an
// address of IPv6 has brackets then.
func splitPort(text string) (end, port string, found bool) {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr().String(), strconv.Itoa(int(ap.Port())), true
	}
	end, port, found = strings.Cut(text, ":")
	if !found || end == "" || port == "" || strings.ContainsAny(port, ":/") {
		return text, "", false
	}
	return end, port, true
}

// resolveTo resolves the destination. For a service it is what is behind it, with the port
// there: that is what policy judges.
func resolveTo(r ends.Resolver, to string, o *flowOptions) (ends.End, *flowOptions, error) {
	namespace, name, isService := r.SplitService(to)
	if !isService {
		e, err := r.Resolve(to)
		if err == nil && o.port == "" && o.proto.HasPorts() {
			err = errors.New("--port is needed: the destination port of the connection")
		}
		return e, o, err
	}
	if !o.proto.HasPorts() {
		return ends.End{}, o, fmt.Errorf("a Service has ports only: ask about a pod behind it for %s", o.proto)
	}
	e, port, err := r.Service(namespace, name, o.port, o.proto)
	if err != nil {
		return e, o, err
	}
	behind := *o
	behind.port = strconv.Itoa(int(port))
	return e, &behind, nil
}
