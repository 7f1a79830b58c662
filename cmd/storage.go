package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
	"github.com/waxwing-mail/waxwing/appliance/backup"
)

func (p *program) storageCommand() *cobra.Command {
	return p.group(&cobra.Command{
		Use:   "storage",
		Short: "check, save and restore the data directory",
		Long: `storage checks what lies in the data directory, saves it while mail goes on, and restores what was saved.
verify and backup ask the running server. If none runs, they read the directory of the configuration themselves; run
them as the user of the server.`,
	}, p.storageVerifyCommand(), p.storageBackupCommand(), p.storageRestoreCommand())
}

func (p *program) storageVerifyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "verify [DIR|FILE]",
		Short: "read everything that is stored and name what is damaged",
		Long: `verify reads every record, every body and every file of the queue, compares sizes and checksums, and names what is
damaged, what was set aside before, and what is no file of waxwing. It changes nothing, and mail goes on meanwhile.
With DIR or FILE it checks a backup, or the data directory of a server that does not run.

It exits with 1 if something is damaged. What was set aside before is listed, and is no reason for that.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			report, err := p.verifyStorage(c.Context(), args)
			if err != nil {
				return err
			}
			return p.showStorage(p.out, report)
		},
	}
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

func (p *program) verifyStorage(ctx context.Context, args []string) (report appliance.StorageReport, err error) {
	if len(args) > 0 {
		return p.verifyAt(ctx, args[0])
	}
	err = p.eitherWay(func(client *admin.Client) (err error) {
		report, err = client.VerifyStorage(ctx)
		return err
	}, func(k appliance.StorageKeeper) (err error) {
		report, err = k.Verify(ctx)
		return err
	})
	return report, err
}

// verifyAt checks a backup, or a data directory. Of an archive there is what
// its own report says: it is whole, or an error.
func (p *program) verifyAt(ctx context.Context, name string) (report appliance.StorageReport, err error) {
	fi, err := os.Stat(name)
	if err != nil {
		return report, err
	}
	if !fi.IsDir() {
		report, err = backup.Check(name)
		report.Directory = name
		return report, err
	}
	if _, err := os.Lstat(filepath.Join(name, backup.SumsName)); err == nil {
		if _, err := backup.Check(name); err != nil {
			return report, err
		}
	}
	k, err := p.storeIn(name)
	if err != nil {
		return report, err
	}
	return k.Verify(ctx)
}

func (p *program) storageBackupCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "backup DIR|FILE.tar|-",
		Short: "save queue, keys and certificates as they are at one moment",
		Long: `backup saves everything that a restore needs, as it is at one moment, while mail goes on: queue, bodies, keys,
certificates. It writes a directory, an archive if the name ends with .tar, or an archive to standard output. It
overwrites nothing, and what it has written is durable when it ends; sha256sum --check SHA256SUMS agrees with it.
What was set aside as damaged stays in the quarantine of the server and is not saved.

A backup holds the private keys and the mail of the server: keep it as you keep the server.

It exits with 1 if what it saved is damaged; then it names what, and the backup is there nevertheless.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return p.backupStorage(c.Context(), args[0]) },
	}
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

func (p *program) backupStorage(ctx context.Context, to string) error {
	write := func(w io.Writer) error {
		return p.eitherWay(func(client *admin.Client) error { return client.BackupStorage(ctx, w) },
			func(k appliance.StorageKeeper) error {
				archive := backup.NewWriter(w)
				report, err := k.Backup(ctx, archive.Add)
				return archive.Finish(report, err)
			})
	}
	if to == "-" {
		report, err := backup.Copy(p.out, write)
		if err != nil {
			return err
		}
		return p.showStorage(p.err, report)
	}
	report, err := backup.Save(filepath.Clean(to), write)
	if err != nil {
		return err
	}
	report.Directory = to
	return p.showStorage(p.out, report)
}

func (p *program) storageRestoreCommand() *cobra.Command {
	var o appliance.RestoreOptions
	var to string
	c := &cobra.Command{
		Use:   "restore DIR|FILE.tar",
		Short: "bring a backup back into an empty data directory",
		Long: `restore fills the data directory of the configuration, which must be empty, with a backup. It checks all of it
first: nothing is restored of a backup that is damaged, unless you say --damaged, and then the server sets aside what
is damaged when it starts. Run it as the user of the server, before you start the server.

A backup does not know what was sent after it was made: a restored server sends again what waited then. With --hold
everything that waits is held instead. Look at it with "waxwing queue list", then let go on what is to be sent with
"waxwing queue release", and take out the rest with "waxwing queue drop".`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return p.restoreStorage(c.Context(), args[0], to, o) },
	}
	c.Flags().BoolVar(&o.Hold, "hold", false, "hold all mail until a person releases it")
	c.Flags().BoolVar(&o.Damaged, "damaged", false, "restore what is left of a backup that is damaged")
	c.Flags().StringVar(&to, "to", "", "another `directory` than that of the configuration")
	p.jsonFlag(c)
	return c
}

func (p *program) restoreStorage(ctx context.Context, from, to string, o appliance.RestoreOptions) error {
	open := p.stoppedStore
	if to != "" {
		open = func() (appliance.StorageKeeper, error) { return p.storeIn(to) }
	}
	k, err := open()
	if err != nil {
		return err
	}
	report, err := k.Restore(ctx, backup.Files(from), o)
	if err != nil {
		return err
	}
	shown := p.showStorage(p.out, report)
	if shown != nil && !o.Damaged || p.json {
		return shown
	}
	if waiting := report.Deliveries - report.Held; waiting > 0 {
		fmt.Fprintf(p.out, "warning: the server will attempt %s as soon as it starts, and send again what it had sent after the backup was made\n",
			number(waiting, "delivery", "deliveries"))
	} else if report.Held > 0 {
		fmt.Fprintln(p.out, `all of it is held: "waxwing queue release" lets it go on, "waxwing queue drop" takes it out`)
	}
	return nil
}

// eitherWay asks the running server, or, if the configuration says where it
// would be and nobody is there, works on its directory.
func (p *program) eitherWay(ask func(*admin.Client) error, work func(appliance.StorageKeeper) error) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	err = ask(client)
	if !errors.Is(err, admin.ErrUnreachable) || p.adminFlag != "" || os.Getenv(envAdmin) != "" {
		return err
	}
	k, storeErr := p.stoppedStore()
	if storeErr != nil {
		return storeErr
	}
	return work(k)
}

// stoppedStore is the store of the configuration, which is not started.
func (p *program) stoppedStore() (appliance.StorageKeeper, error) {
	if _, err := p.configFile(); err != nil {
		return p.storeIn(defaultDataDir())
	}
	file, err := p.loaded()
	if err != nil {
		return nil, err
	}
	set := file.Graph.Settings
	for _, n := range file.Graph.Nodes {
		if n.Addr.Kind == appliance.KindStore {
			return keeperOf(n.Module, set.DataDir)
		}
	}
	return p.storeIn(set.DataDir)
}

// storeIn is a store in a directory that no configuration names.
func (p *program) storeIn(dir string) (appliance.StorageKeeper, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	r, ok := p.registry.Get(appliance.KindStore, "disk")
	if !ok {
		return nil, errors.New(`this waxwing was built without the store "disk"`)
	}
	return keeperOf(r.New(), dir)
}

func keeperOf(m appliance.Module, dir string) (appliance.StorageKeeper, error) {
	k, ok := m.(appliance.StorageKeeper)
	if !ok {
		return nil, errors.New("the store of the configuration keeps nothing on disk: there is nothing to verify, save or restore")
	}
	return k, m.Provision(&appliance.Context{DataDir: dir})
}

// showStorage writes a report, and ends with status 1 if there is damage.
func (p *program) showStorage(w io.Writer, r appliance.StorageReport) error {
	err := p.writeStorage(w, r)
	if err == nil && len(r.Damaged) > 0 {
		err = &exitError{exitFailed, nil}
	}
	return err
}

func (p *program) writeStorage(w io.Writer, r appliance.StorageReport) error {
	if p.json {
		return writeJSON(w, r)
	}
	fmt.Fprintf(w, "%s: %s of %s, %s (%d held), %s\n", r.Directory, number(r.Messages, "message", "messages"), appliance.Size(r.Octets),
		number(r.Deliveries, "delivery", "deliveries"), r.Held, number(r.Values, "value", "values"))
	listFindings(w, "not of waxwing, and left alone", r.Foreign)
	listFindings(w, "set aside before", r.SetAside)
	listFindings(w, "damaged", r.Damaged)
	if r.Truncated {
		fmt.Fprintln(w, "there is more than is listed")
	}
	if r.LeftOver > 0 {
		fmt.Fprintf(w, "%s of no message, which the next start removes\n", number(r.LeftOver, "file or entry", "files or entries"))
	}
	verdict := "nothing is damaged"
	if len(r.Damaged) > 0 {
		verdict = "the server sets aside what is damaged when it comes to it, or when it starts; the rest of the mail goes on"
	}
	_, err := fmt.Fprintln(w, verdict)
	return err
}

func listFindings(w io.Writer, title string, all []appliance.StorageFinding) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintln(w, title+":")
	for _, f := range all {
		fmt.Fprintf(w, "  %s: %s\n", printable(f.What), printable(f.Why))
	}
}
