package cmd_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/config"
	"github.com/waxwing-mail/waxwing/cmd"
)

// manual returns all Markdown files of the project, as paths from here.
func manual(t *testing.T) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && (d.Name() == ".git" || d.Name() == "work") {
			return fs.SkipDir
		}
		if strings.HasSuffix(name, ".md") {
			all = append(all, name)
		}
		return err
	})
	if err != nil || len(all) < 10 {
		t.Fatalf("found %d Markdown files, %v", len(all), err)
	}
	return all
}

// A fence is a fenced block of a Markdown file.
type fence struct {
	line int // of its first line
	lang string
	text string
}

func fences(t *testing.T, name string) []fence {
	t.Helper()
	var all []fence
	open := false
	n := 0
	for line := range strings.Lines(read(t, name)) {
		n++
		lang, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && !open:
			all = append(all, fence{line: n + 1, lang: strings.TrimSpace(lang)})
			open = true
		case isFence:
			open = false
		case open:
			all[len(all)-1].text += line
		}
	}
	if open {
		t.Errorf("%s: a fence is not closed", name)
	}
	return all
}

// standIns are what the parts of a configuration in the manual refer to and
// do not show.
var standIns = map[string]string{
	"listener": `listener "submission" %q {}`,
	"auth":     `auth "static" %q { user "app" { password = env("PASSWORD") } }`,
	"check":    `check "senders" %q { allow = { app = ["@example.com"] } }`,
	"signer":   `signer "dkim" %q { domains = ["example.com"] }`,
	"relay":    `relay "discard" %q {}`,
	"tls":      `tls "self_signed" %q {}`,
	"dns":      "dns \"rfc2136\" %q {\n  server = \"192.0.2.53\"\n  key_name = \"acme.\"\n  key = env(\"TSIG_KEY\")\n}",
}

var (
	comment   = regexp.MustCompile(`(?m)#.*$`)
	reference = regexp.MustCompile(`\b(listener|auth|check|signer|relay|tls|dns)\.([a-z][a-z0-9_]*)`)
)

// completed adds a stand-in for each block that the text refers to and does
// not have.
func completed(text string) string {
	var added []string
	for _, m := range reference.FindAllStringSubmatch(comment.ReplaceAllString(text, ""), -1) {
		kind, name := m[1], m[2]
		block := fmt.Sprintf(standIns[kind], name)
		written := regexp.MustCompile(fmt.Sprintf(`(?m)^%s +"[a-z0-9_]+" +%q`, kind, name))
		if !written.MatchString(text) && !slices.Contains(added, block) {
			added = append(added, block)
		}
	}
	return text + "\n" + strings.Join(added, "\n") + "\n"
}

// TestManualConfigurations loads every block of configuration in the manual.
// What is only a part of one is completed by stand-ins.
func TestManualConfigurations(t *testing.T) {
	found := 0
	for _, name := range manual(t) {
		for _, f := range fences(t, name) {
			if f.lang != "hcl" || strings.Contains(name, "examples/plugin/") { // the plugin's tests know its type
				continue
			}
			found++
			if _, err := config.Load("block.hcl", []byte(completed(f.text)), manualWorld(), nil); err != nil {
				t.Errorf("%s:%d:\n%v", name, f.line, err)
			}
			layout, ds := config.Format("block.hcl", []byte(f.text))
			if ds.HasErrors() || !slices.Equal(strings.Fields(string(layout)), strings.Fields(f.text)) {
				t.Errorf("%s:%d cannot be laid out: %v", name, f.line, ds)
			}
		}
	}
	if found < 20 {
		t.Errorf("found only %d blocks", found)
	}
}

// manualWorld is one in which every variable is set, and every file is there.
func manualWorld() config.Options {
	return config.Options{
		Registry: appliance.Builtin,
		Getenv:   manualValue,
		ReadFile: func(string) ([]byte, error) { return []byte("correct horse battery staple\n"), nil },
		Stat:     func(string) (fs.FileInfo, error) { return nil, fs.ErrNotExist },
		Hostname: func() (string, error) { return "mail.example.com", nil },
		DataDir:  "/data",
	}
}

// manualValue is what a variable holds: a key by its name, or what is good for
// a host name and for a password.
func manualValue(name string) (string, bool) {
	if strings.HasSuffix(name, "_KEY") {
		return "bWFpbC52YWx1ZS5leGFtcGxlLmNvbQ", true
	}
	return "mail.value.example.com", true
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestManualLinks follows every link from one file of the project to another,
// and to the heading it names.
func TestManualLinks(t *testing.T) {
	found := 0
	for _, name := range manual(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, name), -1) {
			path, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(path, "://") {
				continue
			}
			found++
			target := name
			if path != "" {
				target = filepath.Join(filepath.Dir(name), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: a link leads nowhere: %s", name, m[1])
				continue
			}
			if anchor != "" && !slices.Contains(headings(t, target), anchor) {
				t.Errorf("%s: there is no heading %s", name, m[1])
			}
		}
	}
	if found < 30 {
		t.Errorf("found only %d links", found)
	}
}

// TestManualComplete: every page can be found from the README.
func TestManualComplete(t *testing.T) {
	readme := read(t, "../README.md")
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil || len(pages) < 10 {
		t.Fatalf("found %d pages, %v", len(pages), err)
	}
	for _, page := range pages {
		if !strings.Contains(readme, "](docs/"+filepath.Base(page)+")") {
			t.Errorf("README.md has no link to %s", page)
		}
	}
}

var declaration = regexp.MustCompile("\\[`([A-Za-z]+)`\\]\\(([^)]+\\.go)\\)")

// TestManualDeclarations: a link that names a function, a type or a package
// leads to the file that declares it.
func TestManualDeclarations(t *testing.T) {
	found := 0
	for _, name := range manual(t) {
		for _, m := range declaration.FindAllStringSubmatch(read(t, name), -1) {
			found++
			source, err := os.ReadFile(filepath.Join(filepath.Dir(name), m[2]))
			if err != nil {
				continue // TestManualLinks says so
			}
			if !regexp.MustCompile(`(?m)^(func (\([^)]*\) )?|type |package )` + m[1] + `\b`).Match(source) {
				t.Errorf("%s: %s does not declare %s", name, m[2], m[1])
			}
		}
	}
	if found < 20 {
		t.Errorf("found only %d", found)
	}
}

var notInAnchor = regexp.MustCompile(`[^\pL\pN _-]`)

// headings returns the anchors of the headings of a file, as GitHub makes them.
func headings(t *testing.T, name string) []string {
	var all []string
	for line := range strings.Lines(read(t, name)) {
		if strings.HasPrefix(line, "#") {
			text := strings.TrimSpace(strings.TrimLeft(line, "#"))
			text = notInAnchor.ReplaceAllString(strings.ToLower(text), "")
			all = append(all, strings.ReplaceAll(text, " ", "-"))
		}
	}
	return all
}

var (
	command     = regexp.MustCompile(`(?m)(?:^\$ (?:[A-Z_]+=\S+ )?|\| |\bexec \S+ )(?:\S*/)?waxwing ([^\n|#>]*)`)
	inline      = regexp.MustCompile("`(?:\\./)?waxwing ([a-z][^`]*)`")
	unitCommand = regexp.MustCompile(`(?m)^Exec[A-Za-z]*=/usr/bin/waxwing (.*)$`)
	flag        = regexp.MustCompile(`(?:^| )(--[a-z-]+|-[a-z])\b`)
)

// TestManualCommands asks for the help of every command that the manual
// names, and looks there for the flags that it gives.
func TestManualCommands(t *testing.T) {
	found := 0
	for _, name := range manual(t) {
		lines := inline.FindAllStringSubmatch(read(t, name), -1)
		for _, f := range fences(t, name) {
			if f.lang == "console" {
				lines = append(lines, command.FindAllStringSubmatch(f.text, -1)...)
			}
		}
		for _, m := range lines {
			found++
			checkCommand(t, name, m[1])
		}
	}
	unit := "../examples/waxwing.service"
	for _, m := range unitCommand.FindAllStringSubmatch(read(t, unit), -1) {
		found++
		checkCommand(t, unit, m[1])
	}
	if found < 30 {
		t.Errorf("found only %d commands", found)
	}
}

// checkCommand looks at a command line without the name of the program.
func checkCommand(t *testing.T, name, line string) {
	var words []string
	for _, w := range strings.Fields(line) {
		if len(words) == 2 || !regexp.MustCompile(`^[a-z][a-z-]*$`).MatchString(w) {
			break
		}
		words = append(words, w)
	}
	var help bytes.Buffer
	status := cmd.Run(t.Context(), append(slices.Clone(words), "--help"), strings.NewReader(""), &help, &help)
	// The help of an unknown command is that of the one above it.
	group := regexp.MustCompile(`(?m)^  waxwing (.*)\[command\]$`).FindStringSubmatch(help.String())
	if status != 0 || len(words) == 0 || group != nil && strings.TrimSpace(group[1]) != strings.Join(words, " ") {
		t.Errorf("%s: waxwing %s: there is no such command", name, line)
	}
	for _, m := range flag.FindAllStringSubmatch(line, -1) {
		if !regexp.MustCompile(`(?m)(^|[ ,])` + m[1] + `\b`).MatchString(help.String()) {
			t.Errorf("%s: waxwing %s: the help has no %s", name, line, m[1])
		}
	}
}
