package serve

import (
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	first, err := Unix(path, 0o600, -1)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Unix(path, 0o660, os.Getgid())
	if err != nil {
		t.Fatalf("in the place of one that is there: %v", err)
	}
	if err := first.Close(); err != nil { // must leave the second one's file
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o660 {
		t.Fatalf("%v, %v: expected a socket with permissions 0660", info, err)
	}
	go func() {
		if c, err := second.Accept(); err == nil {
			_, _ = c.Write([]byte("second"))
			_ = c.Close()
		}
	}()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "second" {
		t.Errorf("%q, %v", got, err)
	}
	_ = c.Close()
	_ = second.Close()
}

func TestUnixLeavesOtherThings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Unix(path, 0o600, -1); err == nil || !strings.Contains(err.Error(), path+": something else is there") {
		t.Errorf("got %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestHTTPEndsWhatIsUnderWay(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	arrived, goOn := make(chan struct{}), make(chan struct{})
	stop := HTTP(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-goOn
		_, _ = io.WriteString(w, "whole")
	}), slog.New(slog.DiscardHandler))
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://" + l.Addr().String())
		if err != nil {
			answer <- err.Error()
			return
		}
		b, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		answer <- string(b)
	}()
	<-arrived
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	close(goOn)
	if got := <-answer; got != "whole" {
		t.Errorf("the answer under way: %q", got)
	}
	<-stopped
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("it still listens")
	}
}
