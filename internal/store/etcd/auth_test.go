package etcd

import (
	"context"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tierwall/tierwall/internal/store/etcd/etcdtest"
	"github.com/tierwall/tierwall/policy"
)

// secured returns a cluster with TLS where the user "agent" may read and "team"
// may write the policies of its namespace. Its authority has signed a client's
// certificate for the user "agent".
func secured(t *testing.T) (*etcdtest.Cluster, *etcdtest.Certs) {
	t.Helper()
	certs := etcdtest.NewCerts(t, "agent")
	cluster := etcdtest.Start(t, etcdtest.Options{Certs: certs})
	c := cluster.Client("", "")
	ctx, cancel := context.WithTimeout(t.Context(), etcdtest.Patience)
	defer cancel()
	allow := func(role, prefix string, kind clientv3.PermissionType) {
		t.Helper()
		_, _ = c.RoleAdd(ctx, role)
		if _, err := c.RoleGrantPermission(ctx, role, prefix, clientv3.GetPrefixRangeEnd(prefix), kind); err != nil {
			t.Fatal(err)
		}
	}
	allow("agent", "/tierwall/v1/", clientv3.PermissionType(clientv3.PermRead))
	allow("team", "/tierwall/v1/", clientv3.PermissionType(clientv3.PermRead))
	allow("team", "/tierwall/v1/projectcalico.org/NetworkPolicy/prod/", clientv3.PermissionType(clientv3.PermReadWrite))
	for _, user := range []struct{ name, password, role string }{
		{"root", "root-secret", "root"}, {"agent", "agent-secret", "agent"}, {"team", "team-secret", "team"},
		{"stranger", "stranger-secret", ""},
	} {
		if _, err := c.UserAdd(ctx, user.name, user.password); err != nil {
			t.Fatal(err)
		}
		if user.role != "" {
			if user.role == "root" {
				_, _ = c.RoleAdd(ctx, "root")
			}
			if _, err := c.UserGrantRole(ctx, user.name, user.role); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := c.AuthEnable(ctx); err != nil {
		t.Fatal(err)
	}
	return cluster, certs
}

func TestUsers(t *testing.T) {
	t.Parallel()
	cluster, certs := secured(t)
	as := func(user string) *Store {
		o := Options{Endpoints: cluster.URLs(), CAFile: certs.CA, CertFile: certs.ClientCert, KeyFile: certs.ClientKey}
		if user != "" {
			o.Username, o.Password = user, user+"-secret"
		}
		return newStore(t, o)
	}
	create(t, as("root"), set("a", "10.0.0.0/8"))
	f, byCertificate := follow(t, as("agent")), follow(t, as(""))
	f.waitNames("a")
	byCertificate.waitNames("a")

	key, value := encoded(t, set("b", "10.0.0.0/8"))
	for _, s := range []*Store{as("agent"), as("")} {
		_, _, err := s.Commit(t.Context(), []Write{{Key: key, Value: value}})
		wantRefusal(t, err, "has no permission for the keys below /tierwall/v1/")
	}
	_, _, err := as("team").Commit(t.Context(), []Write{{Key: key, Value: value}})
	wantRefusal(t, err, "user team has no permission")
	create(t, as("team"), `{"apiVersion": "projectcalico.org/v3", "kind": "NetworkPolicy", "metadata": {"name": "mine", "namespace": "prod"}, "spec": {"selector": "all()"}}`)
	f.waitNames("a", "mine")
	byCertificate.waitNames("a", "mine")
	_, _, err = as("team").Commit(t.Context(), []Write{{Key: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "test", Name: "x"}, Value: value}})
	wantRefusal(t, err, "user team has no permission")

	_, err = as("stranger").List(t.Context())
	wantRefusal(t, err, "user stranger has no permission")
	wantRefusal(t, as("stranger").Watch(t.Context(), nil), "user stranger has no permission")
	wrong := as("agent")
	wrong.opts.Password = "guessed-secret"
	_, err = wrong.List(t.Context())
	wantRefusal(t, err, "user agent or the password is wrong")
	wantRefusal(t, wrong.Watch(t.Context(), nil), "user agent or the password is wrong")
}

// TestTokenExpires lets the token of a user end while nothing happens.
func TestTokenExpires(t *testing.T) {
	t.Parallel()
	cluster := etcdtest.Start(t, etcdtest.Options{Args: []string{"--auth-token-ttl", "1"}})
	c := cluster.Client("", "")
	for _, err := range []error{
		second(c.RoleAdd(t.Context(), "root")), second(c.UserAdd(t.Context(), "root", "root-secret")),
		second(c.UserGrantRole(t.Context(), "root", "root")), second(c.AuthEnable(t.Context())),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	m := cluster.Members()[0]
	link := etcdtest.NewLink(t, m)
	near := newStore(t, Options{Endpoints: cluster.URLs(), Username: "root", Password: "root-secret"})
	far := newStore(t, Options{Endpoints: []string{link.URL()}, Username: "root", Password: "root-secret"})
	f := follow(t, far)
	create(t, near, set("a", "10.0.0.0/8"))
	f.waitNames("a")
	link.Cut()
	f.waitFinding("cannot be followed")
	cluster.Kill(m) // it forgets all tokens
	cluster.Restart(m)
	link.Mend()
	f.waitSound()
	create(t, near, set("b", "10.0.0.0/8"))
	f.waitNames("a", "b")
}

func second[T any](_ T, err error) error { return err }

func TestTLS(t *testing.T) {
	t.Parallel()
	certs, others := etcdtest.NewCerts(t, "agent"), etcdtest.NewCerts(t, "agent")
	cluster := etcdtest.Start(t, etcdtest.Options{Certs: certs})
	good := Options{Endpoints: cluster.URLs(), CAFile: certs.CA, CertFile: certs.ClientCert, KeyFile: certs.ClientKey}
	if _, err := newStore(t, good).List(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"another authority": {func(o *Options) { o.CAFile = others.CA }, "certificate signed by unknown authority"},
		"the host's trust":  {func(o *Options) { o.CAFile = "" }, "certificate signed by unknown authority"},
		"no certificate":    {func(o *Options) { o.CertFile, o.KeyFile = "", "" }, "it does not accept this client's certificate"},
		"another's":         {func(o *Options) { o.CertFile, o.KeyFile = others.ClientCert, others.ClientKey }, "it does not accept this client's certificate"},
		"another name":      {func(o *Options) { o.ServerName = "db.example" }, "certificate is not valid for any names, but wanted to match db.example"},
		"no TLS": {func(o *Options) {
			*o = Options{Endpoints: []string{strings.Replace(o.Endpoints[0], "https:", "http:", 1)}}
		}, "is it https:// there?"},
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			test.change(&o)
			_, err := newStore(t, o).List(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
	plain := etcdtest.Start(t, etcdtest.Options{})
	o := good
	o.Endpoints = []string{strings.Replace(plain.URLs()[0], "http:", "https:", 1)}
	if _, err := newStore(t, o).List(t.Context()); err == nil || !strings.Contains(err.Error(), "it speaks no TLS") {
		t.Error(err)
	}
}

func wantRefusal(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("error %v, want %s", err, text)
	}
	if err != nil && strings.Contains(err.Error(), "-secret") {
		t.Errorf("error %v holds a password", err)
	}
}
