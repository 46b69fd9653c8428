package cli

import "github.com/spf13/cobra"

// The groups under which help lists commands.
const (
	groupAnalyze = "analyze"
	groupEnforce = "enforce"
	groupOther   = "other"
)

var groups = []*cobra.Group{
	{ID: groupAnalyze, Title: "Analyze manifests:"},
	{ID: groupEnforce, Title: "Enforce policy:"},
	{ID: groupOther, Title: "Other commands:"},
}

// commands are the constructors of all subcommands, with their group.
var commands = []struct {
	group string
	make  func() *cobra.Command
}{
	{groupAnalyze, newValidateCommand},
	{groupAnalyze, newExplainCommand},
	{groupAnalyze, newReachCommand},
	{groupEnforce, newDemoCommand},
	{groupEnforce, newAgentCommand},
	{groupOther, newVersionCommand},
	{groupOther, newCompletionCommand},
}
