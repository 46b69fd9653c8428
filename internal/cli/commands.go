package cli

import "github.com/spf13/cobra"

// The groups under which help lists commands.
const (
	groupAnalyze = "analyze"
	groupEnforce = "enforce"
	groupStore   = "store"
	groupOther   = "other"
)

var groups = []*cobra.Group{
	{ID: groupAnalyze, Title: "Analyze manifests:"},
	{ID: groupEnforce, Title: "Enforce policy:"},
	{ID: groupStore, Title: "Keep policy in etcd, where there is no Kubernetes:"},
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
	{groupAnalyze, newConvertCommand},
	{groupAnalyze, newInitCommand},
	{groupEnforce, newDemoCommand},
	{groupEnforce, newAgentCommand},
	{groupEnforce, newDNSCommand},
	{groupEnforce, newControllerCommand},
	{groupEnforce, newCNICommand},
	{groupEnforce, newUninstallCommand},
	{groupStore, newGetCommand},
	{groupStore, newApplyCommand},
	{groupStore, newDeleteCommand},
	{groupOther, newOptionsCommand},
	{groupOther, newVersionCommand},
	{groupOther, newCompletionCommand},
}
