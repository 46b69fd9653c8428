package cli

import (
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tierwall/tierwall/internal/store/etcd/etcdtest"
)

// TestEtcdScripts runs the scripts that need etcd, each with a prefix of its own.
// In them $ETCD is the store, $URL where it is, and put KEY FILE writes a key of
// it past the program.
func TestEtcdScripts(t *testing.T) {
	cluster := etcdtest.Start(t, etcdtest.Options{})
	client := cluster.Client("", "")
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/etcd",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			name := strings.TrimPrefix(env.WorkDir[strings.LastIndex(env.WorkDir, "/")+1:], "script-")
			env.Setenv("URL", cluster.URLs()[0])
			env.Setenv("ETCD", "etcd:"+cluster.URLs()[0]+"/"+name)
			env.Setenv("ROOT", "/"+name+"/v1/")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"put": func(ts *testscript.TestScript, _ bool, args []string) {
				if len(args) != 2 {
					ts.Fatalf("usage: put KEY FILE")
				}
				_, err := client.Put(t.Context(), ts.Getenv("ROOT")+args[0], ts.ReadFile(args[1]))
				ts.Check(err)
			},
		},
	})
}
