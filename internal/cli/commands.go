package cli

import (
	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/cli/agentcmd"
	"github.com/tierwall/tierwall/internal/cli/cnicmd"
	"github.com/tierwall/tierwall/internal/cli/completion"
	"github.com/tierwall/tierwall/internal/cli/controllercmd"
	"github.com/tierwall/tierwall/internal/cli/convert"
	"github.com/tierwall/tierwall/internal/cli/democmd"
	"github.com/tierwall/tierwall/internal/cli/dnscmd"
	"github.com/tierwall/tierwall/internal/cli/explain"
	"github.com/tierwall/tierwall/internal/cli/initcmd"
	"github.com/tierwall/tierwall/internal/cli/objects"
	"github.com/tierwall/tierwall/internal/cli/options"
	"github.com/tierwall/tierwall/internal/cli/reach"
	"github.com/tierwall/tierwall/internal/cli/uninstallcmd"
	"github.com/tierwall/tierwall/internal/cli/validate"
	"github.com/tierwall/tierwall/internal/cli/version"
)

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
	{groupAnalyze, validate.NewCommand},
	{groupAnalyze, explain.NewCommand},
	{groupAnalyze, reach.NewCommand},
	{groupAnalyze, convert.NewCommand},
	{groupAnalyze, initcmd.NewCommand},
	{groupEnforce, democmd.NewCommand},
	{groupEnforce, agentcmd.NewCommand},
	{groupEnforce, dnscmd.NewCommand},
	{groupEnforce, controllercmd.NewCommand},
	{groupEnforce, cnicmd.NewCommand},
	{groupEnforce, uninstallcmd.NewCommand},
	{groupStore, objects.NewGetCommand},
	{groupStore, objects.NewApplyCommand},
	{groupStore, objects.NewDeleteCommand},
	{groupOther, options.NewCommand},
	{groupOther, version.NewCommand},
	{groupOther, completion.NewCommand},
}
