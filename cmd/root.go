package cmd

import "github.com/spf13/cobra"

// The groups of commands in the help text.
const (
	groupServer = "server"
	groupMail   = "mail"
	groupConfig = "config"
)

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "waxwing",
		Short: "a mail appliance: submission, DKIM, a durable queue and delivery",
		Long: `Waxwing takes mail in over SMTP submission, proves who sent it, signs it with DKIM, keeps it safe on
disk and delivers it. "waxwing demo" shows all of it on this machine; "waxwing run" is the server.

The configuration file is the first that is named or exists: --config, $WAXWING_CONFIG, ./mail.hcl,
/etc/waxwing/mail.hcl.

Exit status: 0 done, 1 failed, 2 the command line is wrong, 3 the configuration does not load,
4 no server answers.`,
		SilenceErrors:    true,
		SilenceUsage:     true,
		PersistentPreRun: func(*cobra.Command, []string) { p.began = true },
	}
	root.PersistentFlags().StringVarP(&p.configFlag, "config", "c", "", "the configuration `file`")
	p.group(root)
	root.AddGroup(
		&cobra.Group{ID: groupServer, Title: "The server:"},
		&cobra.Group{ID: groupMail, Title: "Mail:"},
		&cobra.Group{ID: groupConfig, Title: "The configuration:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
		}
		root.AddCommand(commands...)
	}
	add(groupServer, p.runCommand(), p.reloadCommand(), p.stopCommand(), p.healthCommand(), p.statusCommand(), p.tlsCommand(), p.bansCommand(), p.doctorCommand(), p.eventsCommand(), p.storageCommand())
	add(groupMail, p.sendCommand(), p.selftestCommand(), p.queueCommand(), p.captureCommand())
	add(groupConfig, p.validateCommand(), p.explainCommand(), p.fmtCommand(), p.modulesCommand(), p.docsCommand(), p.dkimCommand(), p.dnsCommand(), p.hashPasswordCommand())
	root.AddCommand(demoCommand(), p.versionCommand())
	return root
}
