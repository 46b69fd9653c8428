package open

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// parsed returns flags as a command line has them.
func parsed(t *testing.T, args ...string) *Flags {
	t.Helper()
	f := NewFlags()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	f.Register(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestSource(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.yaml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want string // of String, or of the error
	}{
		{[]string{"--store", "files:" + dir}, "files:" + dir},
		{[]string{"--store", "kube", "--server", "https://127.0.0.1:6443"}, "kube"},
		{[]string{"--store", "etcd:https://a:1,https://b:2"}, "etcd:https://a:1,https://b:2"},
		{[]string{"--store", "etcd:https://a:1/,https://b:2/tierwall"}, "etcd:https://a:1,https://b:2"},
		{[]string{"--store", "etcd:https://a:1/site/one/"}, "etcd:https://a:1/site/one"},
		{[]string{"--store", "etcd:http://[::1]:1"}, "etcd:http://[::1]:1"},
		{[]string{"--store", "etcd:http://a:1", "--etcd-plaintext"}, "etcd:http://a:1"},

		{nil, "no store: expected --store files:DIR, kube or etcd:https://HOST:2379[,https://HOST:2379][/PREFIX]"},
		{[]string{"--store", "files:"}, "the directory is missing"},
		{[]string{"--store", "files:" + dir + "/nowhere"}, "there is no such directory"},
		{[]string{"--store", "files:" + file}, "it is no directory"},
		{[]string{"--store", dir}, "did you mean files:" + dir + "?"},
		{[]string{"--store", "file:" + dir}, `unknown kind of store "file"; did you mean "files"?`},
		{[]string{"--store", "kub"}, `unknown kind of store "kub"; did you mean "kube"?`},
		{[]string{"--store", "kube:prod"}, "expected kube alone"},
		{[]string{"--store", "https://a:6443"}, "did you mean etcd:URL?"},
		{[]string{"--store", "etcd:"}, "no URL of etcd"},
		{[]string{"--store", "etcd:a:2379"}, "expected https://host:2379"},
		{[]string{"--store", "etcd:https://a"}, "the port is missing; did you mean https://a:2379?"},
		{[]string{"--store", "etcd:https://:2379"}, "the host is missing"},
		{[]string{"--store", "etcd:https://a:1?x=y"}, "expected scheme, host and port only"},
		{[]string{"--store", "etcd:ftp://a:1"}, "ftp://a:1: expected https://host:2379"},
		{[]string{"--store", "etcd:http://a:1"}, "http:// to another host is refused"},
		{[]string{"--store", "etcd:https://a:1,http://localhost:2"}, "all members must be reached in one way"},
		{[]string{"--store", "etcd:https://a:1/x//y"}, `prefix of keys "x//y": expected letters`},
		{[]string{"--store", "etcd:https://a:1/x y"}, `prefix of keys "x y"`},
		{[]string{"--store", "etcd:https://a:1/" + strings.Repeat("x", 300)}, "expected at most 256"},
		{[]string{"--store", "etcd:" + strings.Repeat("https://a:1,", 40) + "https://a:1"}, "expected at most 32"},
		{[]string{"--store", "etcd:http://localhost:1", "--etcd-cacert", "x"}, "certificates need https://"},
		{[]string{"--store", "etcd:https://a:1", "--etcd-cert", "x"}, "both --etcd-cert and --etcd-key"},
		{[]string{"--store", "etcd:https://a:1", "--etcd-cacert", file}, "holds no certificate in PEM"},
		{[]string{"--store", "etcd:https://a:1", "--etcd-cert", file, "--etcd-key", file}, "client certificate " + file},
		{[]string{"--store", "etcd:https://me:secret@a:1"}, "a URL of etcd holds a user"},
		{[]string{"--store", "etcd:https://me:se%ret@a:1"}, "it is no URL"},
	} {
		got := ""
		source, err := parsed(t, test.args...).Source()
		if err != nil {
			got = err.Error()
		} else {
			got = source.String()
		}
		if got != test.want && (err == nil || !strings.Contains(got, test.want)) {
			t.Errorf("%v: %s, want %s", test.args, got, test.want)
		}
		if strings.Contains(got, "secret") || strings.Contains(got, "se%ret") {
			t.Errorf("%v: %s: holds a password", test.args, got)
		}
	}
}

func TestPassword(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, empty, long := write("good", "s3cret\n"), write("empty", "\n"), write("long", strings.Repeat("x", 5000))
	for _, test := range []struct {
		args        []string
		environment string
		want, fails string
	}{
		{nil, "unused", "", ""},
		{[]string{"--etcd-username", "me"}, "of the environment", "of the environment", ""},
		{[]string{"--etcd-username", "me", "--etcd-password-file", good}, "unused", "s3cret", ""},
		{[]string{"--etcd-password-file", good}, "", "", "needs --etcd-username"},
		{[]string{"--etcd-username", "me", "--etcd-password-file", empty}, "", "", "it is empty"},
		{[]string{"--etcd-username", "me", "--etcd-password-file", long}, "", "", "longer than 4096 bytes"},
		{[]string{"--etcd-username", "me", "--etcd-password-file", dir + "/nowhere"}, "", "", "no such file"},
	} {
		t.Setenv(PasswordVariable, test.environment)
		got, err := parsed(t, test.args...).Etcd.password()
		if got != test.want || (err == nil) != (test.fails == "") || err != nil && !strings.Contains(err.Error(), test.fails) {
			t.Errorf("%v: %q, %v; want %q, error %q", test.args, got, err, test.want, test.fails)
		}
	}
	t.Setenv(PasswordVariable, "")
	if _, err := parsed(t, "--store", "etcd:https://a:1", "--etcd-username", "me").Source(); err == nil || !strings.Contains(err.Error(), "a user of etcd needs a name and a password") {
		t.Error(err)
	}
}

// TestConnectionFlags shows that each flag of a connection says which store it is for.
func TestConnectionFlags(t *testing.T) {
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	NewFlags().Register(flags)
	kinds := map[string]int{}
	flags.VisitAll(func(f *pflag.Flag) {
		kinds[ConnectionKind(f)]++
		if strings.HasPrefix(f.Name, "etcd-") != (ConnectionKind(f) == KindEtcd) {
			t.Errorf("--%s is of store %q", f.Name, ConnectionKind(f))
		}
		if strings.Contains(f.Name, "password") && !strings.HasSuffix(f.Name, "-file") {
			t.Errorf("--%s: command lines are seen by all users of a host", f.Name)
		}
	})
	if diff := cmp.Diff(1, kinds[""]); diff != "" || kinds[KindKube] < 10 || kinds[KindEtcd] < 7 {
		t.Errorf("flags by kind: %v", kinds)
	}
}

func FuzzSplitEtcd(f *testing.F) {
	for _, text := range []string{"https://a:1", "https://a:1,https://b:2/x", "", ",", "://", "https:///", "a//b,c"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		endpoints, prefix := splitEtcd(text)
		if len(endpoints) != strings.Count(text, ",")+1 && text != "" {
			t.Errorf("%d endpoints of %q", len(endpoints), text)
		}
		if len(prefix) >= len(text) && text != "" {
			t.Errorf("prefix %q of %q", prefix, text)
		}
		if source, err := Source("etcd:"+text, NewFlags()); err == nil {
			again, err := Source(source.String(), NewFlags())
			if err != nil || again.String() != source.String() {
				t.Errorf("%q gives %s, which gives %v, %v", text, source, again, err)
			}
		}
	})
}
