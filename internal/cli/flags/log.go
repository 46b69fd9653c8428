package flags

import (
	"io"
	"log/slog"

	"github.com/spf13/cobra"
)

// Log are the flags of commands that run for long, and log.
type Log struct {
	format string
	debug  bool
}

var logFormats = []string{"text", "json"}

// Register adds the flags.
func (o *Log) Register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.format, "log-format", "text", "text or json")
	cmd.Flags().BoolVar(&o.debug, "debug", false, "log at level debug, too")
	Complete(cmd, "log-format", logFormats...)
}

// Validate refuses formats that there are not.
func (o *Log) Validate(cmd *cobra.Command) error {
	return CheckOneOf(cmd, "log-format", o.format, logFormats...)
}

// Logger returns what logs to w, which is standard error.
func (o *Log) Logger(w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{}
	if o.debug {
		opts.Level = slog.LevelDebug
	}
	if o.format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
