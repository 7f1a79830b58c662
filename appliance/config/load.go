package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Options is the world that a configuration file is read in.
type Options struct {
	// The module types that blocks can have.
	Registry *appliance.Registry
	// What env() looks up. Default: os.LookupEnv.
	Getenv func(name string) (string, bool)
	// What file() reads. Default: regular files of up to 1 MiB.
	ReadFile func(path string) ([]byte, error)
	// Whose permissions are looked at when file() is used for a secret.
	// Default: os.Stat.
	Stat func(path string) (fs.FileInfo, error)
	// The default of the setting hostname. Default: os.Hostname.
	Hostname func() (string, error)
	// The default of the setting data_dir.
	DataDir string
}

func (o Options) withDefaults() Options {
	if o.Registry == nil {
		o.Registry = new(appliance.Registry)
	}
	if o.Getenv == nil {
		o.Getenv = os.LookupEnv
	}
	if o.ReadFile == nil {
		o.ReadFile = readBounded
	}
	if o.Stat == nil {
		o.Stat = os.Stat
	}
	if o.Hostname == nil {
		o.Hostname = os.Hostname
	}
	return o
}

// A File is a configuration that was loaded.
type File struct {
	Graph    *appliance.Graph
	Warnings Diagnostics

	collector *collector
	instances map[appliance.Addr]*instance
	top       *hclsyntax.Body // the settings
}

// Load reads a configuration: it parses, binds and validates. The error is
// always of the type [Diagnostics], which then hold the warnings as well.
// filename is for messages, and what file() paths are relative to.
//
// previous may be nil. Of a running graph, every node whose fingerprint did
// not change becomes part of the new one, as it is.
func Load(filename string, src []byte, o Options, previous *appliance.Graph) (*File, error) {
	l := newLoader(filename, src, o.withDefaults(), previous)
	if body, ok := parse(l.collector, newWords(l.allSchemas()...)); ok {
		l.load(body)
	}
	diags := l.diagnostics()
	if diags.HasErrors() {
		return nil, diags
	}
	return &File{Graph: l.graph, Warnings: diags, collector: l.collector, instances: l.byAddr, top: l.top}, nil
}

// Diagnose turns the failure of an instance on its way to running, an
// [appliance.InstanceError], or several of them joined, into diagnostics that
// show where the file says so.
func (f *File) Diagnose(err error) Diagnostics {
	c := &collector{src: f.collector.src, hide: slices.Clone(f.collector.hide)}
	for _, e := range flatten(err) {
		failure, ok := errors.AsType[*appliance.InstanceError](e)
		if !ok {
			c.errorf(place{}, "cannot run", "%s", sentence(e.Error()))
			continue
		}
		n := f.instances[failure.Addr]
		for _, cause := range flatten(failure.Err) {
			if n == nil {
				c.errorf(place{}, failure.Addr.String()+" cannot run", "%s", sentence(cause.Error()))
				continue
			}
			c.add(blame(n, cause, "cannot run"))
		}
	}
	return c.diagnostics()
}

// A loader reads one file.
type loader struct {
	*collector
	opts           Options
	sources        *sources
	previous       *appliance.Graph
	settingsSchema *schema
	pipelineSchema *schema

	set       appliance.Settings
	top       *hclsyntax.Body // the settings
	instances []*instance     // the implicit ones, then in the order of the file
	byAddr    map[appliance.Addr]*instance
	captured  *instance // the relay of every pipeline, in capture mode
	graph     *appliance.Graph
}

func newLoader(filename string, text []byte, o Options, previous *appliance.Graph) *loader {
	src := newSource(filename, text)
	c := &collector{src: src}
	return &loader{
		collector:      c,
		opts:           o,
		sources:        &sources{options: o, dir: filepath.Dir(filename), conceal: c.conceal},
		previous:       previous,
		settingsSchema: schemaOf(reflect.TypeFor[appliance.Settings]()),
		pipelineSchema: schemaOf(reflect.TypeFor[appliance.Pipeline]()),
		set:            appliance.DefaultSettings(),
		byAddr:         make(map[appliance.Addr]*instance),
	}
}

// allSchemas are those of everything that could stand in the file.
func (l *loader) allSchemas() []*schema {
	all := []*schema{l.settingsSchema, l.pipelineSchema}
	for _, r := range l.opts.Registry.All() {
		all = append(all, schemaOf(reflect.TypeOf(r.New()).Elem()))
	}
	return all
}

// decoder returns a decoder for one block.
func (l *loader) decoder(context string, refs map[refKey][]*instance) *decoder {
	return &decoder{collector: l.collector, sources: l.sources, context: context, refs: refs}
}

// load goes through the stages that the package comment lists.
func (l *loader) load(body *hclsyntax.Body) {
	l.declare(body)
	l.src.setMasks(l.masks(body))
	l.settings(body)
	l.implicit()
	for _, n := range l.instances {
		l.link(n)
	}
	order := l.sort()
	for _, n := range order {
		l.build(n)
	}
	l.listeners()
	if l.failed() {
		return
	}
	l.review()
	l.graph = &appliance.Graph{Settings: l.set}
	inUse := l.reachable(func(n *instance) []*instance { return n.deps })
	for _, n := range order {
		if inUse[n] {
			l.graph.Nodes = append(l.graph.Nodes, n.node)
		}
	}
}

// masks hides what is secret in each block, or in no block that is known.
func (l *loader) masks(body *hclsyntax.Body) []span {
	known := make(map[*hclsyntax.Block]*schema)
	for _, n := range l.instances {
		known[n.block] = n.schema
	}
	var all []span
	for _, b := range body.Blocks {
		s := known[b]
		if f := l.settingsSchema.block(b.Type); f != nil {
			s = f.inner
		}
		all = append(all, maskBody(b.Body, s)...)
	}
	return append(all, maskBody(&hclsyntax.Body{Attributes: body.Attributes}, l.settingsSchema)...)
}

// build decodes an instance, validates it and makes its node. References are
// bound to what runs already where that did not change.
func (l *loader) build(n *instance) {
	for _, dep := range n.deps {
		n.failed = n.failed || dep.failed
	}
	if n.target == nil {
		return // a type that is not known
	}
	l.sources.results = nil
	d := l.decoder(n.heading(), n.refs)
	dst := reflect.ValueOf(n.target).Elem()
	if n.preset != "" {
		dst.FieldByIndex(n.schema.attribute("path").index).SetString(n.preset)
	}
	d.body(dst, n.body, n.schema, n.header())
	if p, ok := n.target.(*appliance.Pipeline); ok && l.captured != nil {
		p.Routes = slices.DeleteFunc(p.Routes, func(r appliance.Route) bool { return r.Reject == nil })
	}
	if n.failed = n.failed || d.failed; n.failed {
		return // what it says about itself would only be a consequence
	}
	d.validate(n)
	if n.failed = d.failed; n.failed {
		return
	}
	n.node = l.node(n)
}

// node makes the node of an instance, or finds the one that runs.
func (l *loader) node(n *instance) *appliance.Node {
	node := &appliance.Node{Addr: n.addr, Type: n.typ, Fingerprint: l.fingerprint(n, l.sources.results)}
	if l.previous != nil {
		if old := l.previous.Node(n.addr); old != nil && old.Fingerprint == node.Fingerprint {
			return old
		}
	}
	for _, dep := range n.deps {
		node.Deps = append(node.Deps, dep.addr)
	}
	switch target := n.target.(type) {
	case *appliance.Pipeline:
		node.Pipeline = target
	case appliance.Module:
		node.Module = target
	}
	return node
}
