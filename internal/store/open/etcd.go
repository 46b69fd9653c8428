package open

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/etcd"
)

// PasswordVariable is the environment variable that may hold etcd's password.
const PasswordVariable = "TIERWALL_ETCD_PASSWORD"

// EtcdFlags are the flags of the connection to etcd. There is none for the
// password itself: command lines are seen by all users of a host.
type EtcdFlags struct {
	CACert, Cert, Key, ServerName string
	Username, PasswordFile        string
	Plaintext                     bool
}

func (e *EtcdFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&e.CACert, "etcd-cacert", "", "file with the certificates of who signs etcd's (default: those the host trusts)")
	flags.StringVar(&e.Cert, "etcd-cert", "", "file with this client's certificate for etcd")
	flags.StringVar(&e.Key, "etcd-key", "", "file with the key of --etcd-cert")
	flags.StringVar(&e.ServerName, "etcd-server-name", "", "name that etcd's certificate must be for (default: the host in the URL)")
	flags.StringVar(&e.Username, "etcd-username", "", "user of etcd; the password is in --etcd-password-file or $"+PasswordVariable)
	flags.StringVar(&e.PasswordFile, "etcd-password-file", "", "file with the password of --etcd-username")
	flags.BoolVar(&e.Plaintext, "etcd-plaintext", false, "allow http:// to other hosts: anyone on the way can read and change policy")
}

// Etcd opens the etcd of a specification, etcd:URL[,URL...][/PREFIX], as a store
// that can be written.
func Etcd(spec string, f *Flags) (*etcd.Store, error) {
	rest, found := strings.CutPrefix(spec, KindEtcd+":")
	if !found {
		return nil, fmt.Errorf("--store %s: expected etcd:https://HOST:2379", spec)
	}
	return openEtcdStore(rest, f)
}

func openEtcd(rest string, f *Flags) (store.Source, error) {
	s, err := openEtcdStore(rest, f)
	if err != nil {
		return nil, err // not a Source that holds nil
	}
	return s, nil
}

func openEtcdStore(rest string, f *Flags) (*etcd.Store, error) {
	o := etcd.Options{
		CAFile: f.Etcd.CACert, CertFile: f.Etcd.Cert, KeyFile: f.Etcd.Key, ServerName: f.Etcd.ServerName,
		Username: f.Etcd.Username, Plaintext: f.Etcd.Plaintext, Log: f.Log,
	}
	o.Endpoints, o.Prefix = splitEtcd(rest)
	var err error
	if o.Password, err = f.Etcd.password(); err != nil {
		return nil, err
	}
	s, err := etcd.New(o)
	if err != nil {
		return nil, fmt.Errorf("--store etcd: %w", err)
	}
	return s, nil
}

// splitEtcd takes URL[,URL...][/PREFIX] apart: the path of the last URL is the prefix.
func splitEtcd(text string) (endpoints []string, prefix string) {
	if text == "" {
		return nil, ""
	}
	endpoints = strings.Split(text, ",")
	last := &endpoints[len(endpoints)-1]
	if scheme, rest, found := strings.Cut(*last, "://"); found {
		host, path, _ := strings.Cut(rest, "/")
		*last, prefix = scheme+"://"+host, strings.TrimSuffix(path, "/")
	}
	for i := range endpoints[:len(endpoints)-1] {
		endpoints[i] = strings.TrimSuffix(endpoints[i], "/")
	}
	return endpoints, prefix
}

// maxPassword bounds a file that holds a password, in bytes.
const maxPassword = 4096

// password returns the password of the user, "" if no user is named.
func (e *EtcdFlags) password() (string, error) {
	if e.Username == "" {
		if e.PasswordFile != "" {
			return "", errors.New("--etcd-password-file needs --etcd-username")
		}
		return "", nil
	}
	if e.PasswordFile == "" {
		return os.Getenv(PasswordVariable), nil
	}
	file, err := os.Open(e.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("--etcd-password-file: %w", err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxPassword+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("--etcd-password-file: %w", err)
	case len(text) > maxPassword:
		return "", fmt.Errorf("--etcd-password-file %s: it is longer than %d bytes", e.PasswordFile, maxPassword)
	}
	password := strings.TrimRight(string(text), "\r\n")
	if password == "" {
		return "", fmt.Errorf("--etcd-password-file %s: it is empty", e.PasswordFile)
	}
	return password, nil
}
