package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
	"github.com/faultline-iot/faultline/internal/document"
	"github.com/faultline-iot/faultline/rules"
	stories "github.com/faultline-iot/faultline/rules/story"
)

// testCommand plays files of rule tests.
func testCommand(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	verbose := fs.Bool("v", false, "name every test")
	only := fs.String("run", "", "play only tests whose name matches `REGEXP`")
	shipped := fs.Bool("library", false, "play the tests of the shipped rules")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	pick, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	var files []rules.File
	if *shipped {
		if files, err = rules.LibraryTests(); err != nil {
			return err
		}
	}
	for _, name := range fs.Args() {
		data, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("read the tests: %w", err)
		}
		files = append(files, rules.File{Name: name, Data: data})
	}
	if len(files) == 0 {
		fmt.Fprintln(fs.Output(), "faultline test: name the files to play, such as mine.test.yaml, or -library")
		return errUsage
	}
	t := tally{verbose: *verbose, out: out}
	for _, f := range files {
		if err := t.play(ctx, f, pick.MatchString); err != nil {
			return err
		}
	}
	switch {
	case t.failed+t.broken > 0:
		return fmt.Errorf("%d of %d tests failed, %d files could not be read", t.failed, t.failed+t.passed, t.broken)
	case t.passed == 0:
		return errors.New("no test was played")
	}
	fmt.Fprintf(out, "%d tests of %d files passed\n", t.passed, len(files))
	return nil
}

// tally counts what became of tests.
type tally struct {
	verbose                bool
	out                    io.Writer
	passed, failed, broken int
}

func (t *tally) play(ctx context.Context, f rules.File, pick func(string) bool) error {
	s, err := stories.Load(f.Name, f.Data, storyEnv(filepath.Dir(f.Name)))
	if err != nil {
		t.broken++
		fmt.Fprintln(t.out, err)
		return nil
	}
	err = s.Run(ctx, pick, func(r stories.Result) {
		word := "ok  "
		if r.OK {
			t.passed++
		} else {
			t.failed++
			word = "FAIL"
		}
		if t.verbose || !r.OK {
			fmt.Fprintf(t.out, "%s  %s: %s (%v)\n", word, f.Name, r.Name, r.Lasted)
		}
	})
	var different *document.Errors
	if err != nil && !errors.As(err, &different) {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	if different != nil {
		for _, p := range different.List {
			fmt.Fprintf(t.out, "      %s:%d: %s\n", p.File, p.Line, p.Text)
		}
	}
	return nil
}

// storyEnv finds what the stories in a directory name.
func storyEnv(dir string) stories.Env {
	beside := func(names []string) []string {
		out := make([]string, len(names))
		for i, n := range names {
			if out[i] = n; !filepath.IsAbs(n) {
				out[i] = filepath.Join(dir, n)
			}
		}
		return out
	}
	profiles := map[string]*profile.Set{} // by the names of the files
	return stories.Env{
		Rules: func(names []string) (*rules.Set, error) { return loadRuleFiles(beside(names)) },
		Profile: func(names []string, name string) (string, []faultline.Point, error) {
			key := strings.Join(names, "\x00")
			if profiles[key] == nil {
				set, err := profile.Load(beside(names)...)
				if err != nil {
					return "", nil, err
				}
				profiles[key] = set
			}
			p, err := profiles[key].Get(name)
			if err != nil {
				return "", nil, err
			}
			return p.Kind, p.DomainPoints(), nil
		},
	}
}

// loadRuleFiles reads rule files over the shipped rules.
func loadRuleFiles(names []string) (*rules.Set, error) {
	base, err := rules.Library()
	if err != nil {
		return nil, err
	}
	var files []rules.File
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read the rules: %w", err)
		}
		files = append(files, rules.File{Name: name, Data: data})
	}
	return rules.Load(base, files...)
}
