package api

import "strings"

// Diff says what a version changes, line by line.
type Diff struct {
	From    int        `json:"from" about:"version; 0: nothing"`
	To      int        `json:"to"`
	Added   int        `json:"added"`
	Removed int        `json:"removed"`
	Lines   []DiffLine `json:"lines"`
}

// DiffLine is a line that is in both, or in one of the two.
type DiffLine struct {
	Op   string `json:"op" about:"\" \" in both, \"+\" new, \"-\" gone"`
	Text string `json:"text"`
}

// longestDiff bounds the table of the comparison; what is longer is shown as wholly new.
const longestDiff = 4_000_000

// diff compares by the longest common subsequence of lines.
func diff(old, new string, from, to int) Diff {
	d := Diff{From: from, To: to, Lines: []DiffLine{}}
	a, b := lines(old), lines(new)
	add := func(op, text string) {
		switch op {
		case "+":
			d.Added++
		case "-":
			d.Removed++
		}
		d.Lines = append(d.Lines, DiffLine{op, text})
	}
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		add(" ", a[head])
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	rest := a[len(a)-tail:]
	a, b = a[head:len(a)-tail], b[head:len(b)-tail]
	if len(a)*len(b) > longestDiff {
		for _, l := range a {
			add("-", l)
		}
		for _, l := range b {
			add("+", l)
		}
		a, b = nil, nil
	}
	common := make([][]int, len(a)+1) // of a[i:] and b[j:]
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			add(" ", a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			add("-", a[i])
			i++
		default:
			add("+", b[j])
			j++
		}
	}
	for _, l := range rest {
		add(" ", l)
	}
	return d
}

func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
