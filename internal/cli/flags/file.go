package flags

import "github.com/spf13/cobra"

// Files adds -f, which names manifests.
func Files(cmd *cobra.Command, paths *[]string) {
	cmd.Flags().StringArrayVarP(paths, "file", "f", nil, "file, directory (read recursively) or - for standard input; may be repeated")
	_ = cmd.MarkFlagFilename("file", "yaml", "yml", "json")
}
