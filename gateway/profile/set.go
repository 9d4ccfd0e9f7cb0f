package profile

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/faultline-iot/faultline"
)

//go:embed library/*.yaml
var library embed.FS

// Set holds profiles by name. Two profiles of one asset kind agree on the type of every point that
// both have, because the store keeps one type per (kind, point).
type Set struct {
	byName map[string]*Profile
}

// Library gives the profiles that come with the product.
func Library() (*Set, error) {
	s := &Set{byName: map[string]*Profile{}}
	files, err := fs.Glob(library, "library/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list the profile library: %w", err)
	}
	var drafts []*draft
	var errs []error
	for _, file := range files {
		data, err := library.ReadFile(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("read profile %s: %w", file, err))
			continue
		}
		d, err := decodeDraft(file, data)
		if err == nil && d.Name+".yaml" != path.Base(file) {
			err = fmt.Errorf("%s: name is %q: a file of the library is named for its profile", file, d.Name)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		drafts = append(drafts, d)
	}
	return s, errors.Join(append(errs, s.addAll(drafts)...)...)
}

// Written is a profile as YAML; File is named in errors.
type Written struct {
	File string
	Data []byte
}

// Load adds the profiles in files to the library; one with the name of a library profile replaces it.
// A profile may extend one of the library or of another file.
func Load(files ...string) (*Set, error) {
	var texts []Written
	var errs []error
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("read profile: %w", err))
			continue
		}
		texts = append(texts, Written{file, data})
	}
	s, err := LoadTexts(texts...)
	return s, errors.Join(append(errs, err)...)
}

// LoadTexts does what Load does with profiles that are no files.
func LoadTexts(texts ...Written) (*Set, error) {
	s, err := Library()
	if err != nil {
		return nil, err
	}
	var drafts []*draft
	var errs []error
	for _, t := range texts {
		d, err := decodeDraft(t.File, t.Data)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		drafts = append(drafts, d)
	}
	return s, errors.Join(append(errs, s.addAll(drafts)...)...)
}

// Add adds a valid profile. It is refused if its name is taken, or if it disagrees with another
// profile of its kind about the type of a point.
func (s *Set) Add(p *Profile) error {
	var list collected
	p.check(&list)
	if _, taken := s.byName[p.Name]; taken {
		list.Add("name", "there is already a profile named %s", p.Name)
	}
	for _, name := range s.Names() {
		other := s.byName[name]
		if other.Kind != p.Kind {
			continue
		}
		for i := range p.Points {
			for j := range other.Points {
				if a, b := &p.Points[i], &other.Points[j]; a.Name == b.Name && a.Type != b.Type {
					list.Add(fmt.Sprintf("points[%d].type", i), "%s of a %s is %s here but %s in profile %s: a changed type needs a new point name", a.Name, p.Kind, a.Type, b.Type, name)
				}
			}
		}
	}
	if len(list) > 0 {
		return fmt.Errorf("%w: profile %s: %s", faultline.ErrInvalid, p.Name, strings.Join(list, "; "))
	}
	if s.byName == nil {
		s.byName = map[string]*Profile{}
	}
	s.byName[p.Name] = p
	return nil
}

// Get finds a profile by "name" or "name@version". The error names those that are alike.
func (s *Set) Get(name string) (*Profile, error) {
	base, version, versioned := strings.Cut(name, "@")
	p := s.byName[base]
	switch {
	case p == nil:
		return nil, fmt.Errorf("profile %q: %w; %s", name, faultline.ErrNotFound, s.alike(base))
	case versioned && p.Version != version:
		return nil, fmt.Errorf("profile %q: %w: %s has version %s", name, faultline.ErrNotFound, base, p.Version)
	}
	return p, nil
}

// alike names the profiles that share most with a name that is none: parts of three letters.
func (s *Set) alike(name string) string {
	const most = 5
	shared := map[string]int{}
	name = strings.ToLower(name)
	for known := range s.byName {
		for i := 0; i+3 <= len(name); i++ {
			if strings.Contains(known, name[i:i+3]) {
				shared[known]++
			}
		}
	}
	best := slices.SortedFunc(maps.Keys(shared), func(a, b string) int {
		return cmp.Or(cmp.Compare(shared[b], shared[a]), cmp.Compare(a, b))
	})
	best = slices.DeleteFunc(best, func(known string) bool { return 3*shared[known] < len(name)-2 }) // less than a third
	const all = "faultline profiles lists all"
	if len(best) == 0 {
		return all
	}
	return "there are: " + strings.Join(best[:min(most, len(best))], ", ") + "; " + all
}

// Names lists the profiles, sorted.
func (s *Set) Names() []string { return slices.Sorted(maps.Keys(s.byName)) }

type collected []string

func (c *collected) Add(path, format string, args ...any) {
	*c = append(*c, path+": "+fmt.Sprintf(format, args...))
}
