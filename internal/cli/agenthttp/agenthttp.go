// Package agenthttp asks the agent of this host, over the address of its metrics.
package agenthttp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// DefaultAddr is where an agent serves metrics, health and status.
const DefaultAddr = "127.0.0.1:9097"

// timeout bounds the wait for an agent that listens and does not answer.
const timeout = 10 * time.Second

// RegisterAddr adds the flag that says where the agent is asked.
func RegisterAddr(cmd *cobra.Command, addr *string) {
	cmd.Flags().StringVar(addr, "metrics-addr", DefaultAddr, "where the agent serves metrics, health and status")
}

// Get gets what the agent of this host serves at a path.
func Get(ctx context.Context, addr, path string, into any) error {
	if addr == "off" {
		return errors.New("the agent is asked at --metrics-addr, which is off")
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return fmt.Errorf("--metrics-addr %s: %w", addr, err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{Proxy: nil}}).Do(req)
	if err != nil {
		return fmt.Errorf("no agent answers at %s: %w", addr, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the agent at %s answers %s", addr, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("what answers at %s is no tierwall agent: %w", addr, err)
	}
	return nil
}
