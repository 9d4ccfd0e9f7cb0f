package document

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Items takes the list under a top-level key apart: the text of each item, as a document of its own with
// a list of one under the same key. Aliases are written out and comments stay. The data is one that Decode
// took; an item that cannot be written gives an error.
func Items(data []byte, key string) ([]string, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return nil, fmt.Errorf("list of %s: %w", key, err)
	}
	if len(root.Content) == 0 || root.Content[0].Kind != yaml.MappingNode {
		return nil, nil
	}
	top := root.Content[0]
	var items []string
	for i := 0; i+1 < len(top.Content); i += 2 {
		if top.Content[i].Value != key {
			continue
		}
		list := top.Content[i+1]
		if list.Kind == yaml.AliasNode {
			list = list.Alias
		}
		for _, item := range list.Content {
			text, err := single(key, item)
			if err != nil {
				return nil, fmt.Errorf("list of %s: %w", key, err)
			}
			items = append(items, text)
		}
	}
	return items, nil
}

func single(key string, item *yaml.Node) (string, error) {
	visits := 0
	own, err := unfold(item, 0, &visits)
	if err != nil {
		return "", err
	}
	own.FootComment = "" // what follows belongs to the next one
	doc := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
		{Kind: yaml.ScalarNode, Value: key},
		{Kind: yaml.SequenceNode, Content: []*yaml.Node{own}},
	}}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(doc); err != nil {
		return "", err
	}
	return out.String(), e.Close()
}

// unfold copies a node without anchors and aliases.
func unfold(n *yaml.Node, depth int, visits *int) (*yaml.Node, error) {
	if *visits++; depth > maxDepth || *visits > maxVisits {
		return nil, fmt.Errorf("line %d: nested deeper than %d levels, or more than %d values with its aliases unfolded", n.Line, maxDepth, maxVisits)
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	c := *n
	c.Anchor, c.Content = "", make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		var err error
		if c.Content[i], err = unfold(child, depth+1, visits); err != nil {
			return nil, err
		}
	}
	return &c, nil
}
