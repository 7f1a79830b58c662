package appliance

import (
	"context"
	"io"
)

// A StorageKeeper is a [Store] whose directory can be checked, saved and
// brought back.
//
// Verify and Backup work on a store that runs, which goes on meanwhile, and on
// one that was provisioned and not started; then nothing else may use the
// directory until they return. What they see is one moment of the store.
type StorageKeeper interface {
	// Verify reads everything that is stored and changes nothing of it. The
	// error says that it could not be looked at; damage is in the report.
	Verify(ctx context.Context) (StorageReport, error)
	// Backup hands every file that a restore needs to each, and reports what
	// is in them. Damage is no error: what is left is worth saving.
	Backup(ctx context.Context, each BackupFile) (StorageReport, error)
	// Restore fills the directory of a store that was not started, which must
	// be empty, with the files that from hands out. It is all or nothing: if
	// from fails, or what it brought is damaged, the directory stays empty.
	Restore(ctx context.Context, from func(BackupFile) error, o RestoreOptions) (StorageReport, error)
}

// A BackupFile takes one file of a backup: its path, with slashes, its size in
// octets, and its content, which is to be read before it returns.
type BackupFile func(name string, size int64, content io.Reader) error

// RestoreOptions say how a backup is brought back.
type RestoreOptions struct {
	Hold    bool // nothing that waits is attempted before a person releases it
	Damaged bool // restore also what is damaged: the next start sets it aside
}

// A StorageReport is what a store has found in its directory.
type StorageReport struct {
	Directory  string `json:"directory"`
	Format     int    `json:"format"`     // version of the layout, 0 if the file that says so is lost
	Messages   int    `json:"messages"`   // that are whole
	Deliveries int    `json:"deliveries"` // of these messages
	Held       int    `json:"held"`       // of these deliveries
	Octets     int64  `json:"octets"`     // of these messages, header and body
	Values     int    `json:"values"`     // keys, certificates and the like

	Damaged   []StorageFinding `json:"damaged"`             // what is not as it was written
	SetAside  []StorageFinding `json:"set_aside,omitempty"` // what was found damaged before, and is in the quarantine
	Foreign   []StorageFinding `json:"foreign,omitempty"`   // what is not of the store: left alone and never opened
	LeftOver  int              `json:"left_over,omitempty"` // files that belong to nothing, which the next start removes
	Truncated bool             `json:"truncated,omitempty"` // there are more findings than are listed
}

// A StorageFinding is something that a person should know of.
type StorageFinding struct {
	What string `json:"what"` // "message 06h0…", or a file, as a path in the directory
	Why  string `json:"why,omitempty"`
}

// maxFindings is how many findings of a kind are listed.
const maxFindings = 1000

// Note adds a finding to one of the lists of the report.
func (r *StorageReport) Note(list *[]StorageFinding, what, why string) {
	if len(*list) >= maxFindings {
		r.Truncated = true
		return
	}
	*list = append(*list, StorageFinding{what, why})
}
