package kind

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
	"github.com/faultline-iot/faultline"
)

// ErrAbsent says that a model does not have a point that a rule is about. Models differ: that is no
// mistake unless the rule was written for this very position.
var ErrAbsent = errors.New("the model does not have the point")

// formula is a condition over points and windows of an asset: numbers, text and true or false joined by
// arithmetic, comparison, and, or, not, ?:, abs, ceil, floor, round, and the functions of windowFunctions.
// It has no loops, so that its cost is bounded by its length.
type formula struct {
	text    string
	program *vm.Program
	points  []*faultline.Point
	windows []windowOf
}

// windowOf is one call such as avg_over(flow, "5m").
type windowOf struct {
	function string
	point    int // in points
	length   time.Duration
	name     string // in the environment of the program
}

// windowFunctions, with whether they want numbers (else true or false).
var windowFunctions = map[string]bool{
	"avg_over": true, "min_over": true, "max_over": true, // of the samples in the window
	"change_over":   true,  // newest less oldest
	"increase_over": true,  // of a meter: what it ran; a fall begins anew
	"starts_over":   false, // how often it became true
	"time_over":     false, // how long it was true, in seconds
}

var operators = []string{"+", "-", "*", "/", "%", "**", "^", "==", "!=", "<", "<=", ">", ">=", "and", "&&", "or", "||", "not", "!"}

var plainFunctions = []string{"abs", "ceil", "floor", "round"}

const mostWindows = 16

// parseFormula checks what can be checked without knowing the points.
func parseFormula(text string) (*parser.Tree, error) {
	if strings.TrimSpace(text) == "" {
		return nil, fmt.Errorf("%w: the expression is empty", faultline.ErrInvalid)
	}
	if len(text) > 2000 {
		return nil, fmt.Errorf("%w: the expression is longer than 2000 bytes", faultline.ErrInvalid)
	}
	if nesting(text) > deepest {
		return nil, fmt.Errorf("%w: the expression has a comment, or brackets within brackets more than %d deep", faultline.ErrInvalid, deepest)
	}
	tree, err := parser.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", faultline.ErrInvalid, oneLine(err))
	}
	v := &checkNodes{}
	ast.Walk(&tree.Node, v)
	if v.problem != "" {
		return nil, fmt.Errorf("%w: %s", faultline.ErrInvalid, v.problem)
	}
	return tree, nil
}

// deepest nesting of brackets. The parser doubles the middle of a < b < c, so what is nested in middles
// grows twofold with each level.
const deepest = 8

func nesting(text string) int {
	depth, most := 0, 0
	quote, escaped := rune(0), false
	last := rune(0)
	for _, c := range text {
		switch {
		case quote != 0: // brackets inside text count for nothing
			if !escaped && c == quote {
				quote = 0
			}
			escaped = c == '\\' && !escaped && quote != '`'
		case c == '"' || c == '\'' || c == '`':
			quote, escaped = c, false
		case last == '/' && (c == '/' || c == '*'): // a comment could hide a quotation mark
			return deepest + 1
		case c == '(' || c == '[' || c == '{':
			depth++
			most = max(most, depth)
		case c == ')' || c == ']' || c == '}':
			depth--
		}
		last = c
	}
	return most
}

func oneLine(err error) string {
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}

// checkNodes refuses what a condition does not need.
type checkNodes struct{ problem string }

func (v *checkNodes) Visit(node *ast.Node) {
	refuse := func(format string, args ...any) {
		if v.problem == "" {
			v.problem = fmt.Sprintf(format, args...)
		}
	}
	switch n := (*node).(type) {
	case *ast.IdentifierNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.StringNode, *ast.ConditionalNode:
	case *ast.UnaryNode:
		if !slices.Contains(operators, n.Operator) {
			refuse("operator %q is not known here", n.Operator)
		}
	case *ast.BinaryNode:
		if !slices.Contains(operators, n.Operator) {
			refuse("operator %q is not known here: use %s", n.Operator, strings.Join(operators, " "))
		}
	case *ast.BuiltinNode:
		if !slices.Contains(plainFunctions, n.Name) {
			refuse("function %q is not known here", n.Name)
		}
	case *ast.CallNode:
		if _, _, err := windowCall(n); err != nil {
			refuse("%s", err)
		}
	default:
		refuse("only points, numbers, text, comparisons, arithmetic and functions are known here")
	}
}

// windowCall takes a call of a window function apart.
func windowCall(n *ast.CallNode) (point string, length time.Duration, err error) {
	callee, _ := n.Callee.(*ast.IdentifierNode)
	if callee == nil {
		return "", 0, errors.New("only functions can be called")
	}
	if _, ok := windowFunctions[callee.Value]; !ok {
		return "", 0, fmt.Errorf("function %q is not known here", callee.Value)
	}
	how := fmt.Errorf("%s wants a point and a time such as \"5m\"", callee.Value)
	if len(n.Arguments) != 2 {
		return "", 0, how
	}
	id, _ := n.Arguments[0].(*ast.IdentifierNode)
	text, _ := n.Arguments[1].(*ast.StringNode)
	if id == nil || text == nil {
		return "", 0, how
	}
	length, err = time.ParseDuration(text.Value)
	if err != nil || length < time.Second || length > longestWindow {
		return "", 0, fmt.Errorf("%s: %q is no time from 1s to %v", callee.Value, text.Value, longestWindow)
	}
	return id.Value, length, nil
}

// compileFormula fits a condition to the points of a position: names, types and units must agree.
func compileFormula(text string, points []faultline.Point) (*formula, error) {
	tree, err := parseFormula(text)
	if err != nil {
		return nil, err
	}
	f := &formula{text: text}
	fit := &fitNodes{formula: f, points: points}
	ast.Walk(&tree.Node, fit) // windows' functions become names, texts of enumerations numbers
	if fit.err != nil {
		return nil, fit.err
	}
	if _, err := f.unit(tree.Node); err != nil {
		return nil, err
	}
	env := map[string]any{}
	for _, p := range f.points {
		env[p.Name] = zero(p)
	}
	for _, w := range f.windows {
		env[w.name] = float64(0)
	}
	f.program, err = expr.Compile(text, expr.Env(env), expr.AsBool(), expr.DisableAllBuiltins(),
		expr.EnableBuiltin("abs"), expr.EnableBuiltin("ceil"), expr.EnableBuiltin("floor"), expr.EnableBuiltin("round"),
		expr.Patch(&fitNodes{formula: f, points: points}), expr.Optimize(false))
	if err != nil {
		return nil, fmt.Errorf("%w: %s", faultline.ErrInvalid, oneLine(err))
	}
	return f, nil
}

func zero(p *faultline.Point) any {
	switch p.Type {
	case faultline.TypeInt:
		return 0
	case faultline.TypeBool:
		return false
	case faultline.TypeString:
		return ""
	}
	return float64(0)
}

// fitNodes finds the points and windows of a formula and puts names in the place of windows.
type fitNodes struct {
	formula *formula
	points  []faultline.Point
	err     error
}

func (v *fitNodes) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		if _, isFunction := windowFunctions[n.Value]; !isFunction && !strings.HasPrefix(n.Value, "window ") {
			v.point(n.Value)
		}
	case *ast.CallNode:
		v.window(node, n)
	case *ast.BinaryNode:
		if n.Operator == "==" || n.Operator == "!=" {
			v.enumeration(n.Left, &n.Right)
			v.enumeration(n.Right, &n.Left)
		}
	}
}

func (v *fitNodes) fail(err error) int {
	if v.err == nil {
		v.err = err
	}
	return -1
}

func (v *fitNodes) point(name string) int {
	for i, p := range v.formula.points {
		if p.Name == name {
			return i
		}
	}
	for i := range v.points {
		if v.points[i].Name == name {
			v.formula.points = append(v.formula.points, &v.points[i])
			return len(v.formula.points) - 1
		}
	}
	return v.fail(fmt.Errorf("%w %s", ErrAbsent, name))
}

func (v *fitNodes) window(node *ast.Node, n *ast.CallNode) {
	name, length, err := windowCall(n)
	if err != nil {
		v.fail(fmt.Errorf("%w: %s", faultline.ErrInvalid, err))
		return
	}
	function := n.Callee.(*ast.IdentifierNode).Value
	i := v.point(name)
	if i < 0 {
		return
	}
	p := v.formula.points[i]
	if wantsNumbers := windowFunctions[function]; wantsNumbers && (p.Type != faultline.TypeFloat && p.Type != faultline.TypeInt || p.Bits) ||
		!wantsNumbers && p.Type != faultline.TypeBool {
		v.fail(fmt.Errorf("%w: %s does not go with point %s, which is %s", faultline.ErrInvalid, function, p.Name, typeName(p)))
		return
	}
	w := windowOf{function: function, point: i, length: length}
	k := slices.IndexFunc(v.formula.windows, func(o windowOf) bool {
		return o.function == function && o.point == i && o.length == length
	})
	if k < 0 {
		k = len(v.formula.windows)
		if k >= mostWindows {
			v.fail(fmt.Errorf("%w: more than %d windows in one expression", faultline.ErrInvalid, mostWindows))
			return
		}
		w.name = "window " + strconv.Itoa(k)
		v.formula.windows = append(v.formula.windows, w)
	}
	ast.Patch(node, &ast.IdentifierNode{Value: v.formula.windows[k].name})
}

// enumeration lets people write mode == "running".
func (v *fitNodes) enumeration(left ast.Node, right *ast.Node) {
	id, _ := left.(*ast.IdentifierNode)
	text, _ := (*right).(*ast.StringNode)
	if id == nil || text == nil {
		return
	}
	i := slices.IndexFunc(v.points, func(p faultline.Point) bool { return p.Name == id.Value })
	if i < 0 || v.points[i].Type != faultline.TypeInt || v.points[i].Bits {
		return
	}
	n, err := stateNumber(&v.points[i], text.Value)
	if err != nil {
		v.fail(err)
		return
	}
	ast.Patch(right, &ast.IntegerNode{Value: int(n)})
}

// unit works out the unit of a part, "" if it has none or it cannot be said; things of different units
// can be neither added nor compared.
func (f *formula) unit(node ast.Node) (string, error) {
	switch n := node.(type) {
	case *ast.IdentifierNode:
		for _, p := range f.points {
			if p.Name == n.Value {
				return p.Unit, nil
			}
		}
		for _, w := range f.windows {
			switch {
			case w.name != n.Value:
			case w.function == "time_over":
				return "s", nil
			case w.function != "starts_over":
				return f.points[w.point].Unit, nil
			}
		}
	case *ast.UnaryNode:
		return f.unit(n.Node)
	case *ast.BuiltinNode:
		for _, a := range n.Arguments {
			return f.unit(a)
		}
	case *ast.ConditionalNode:
		for _, part := range []ast.Node{n.Cond, n.Exp1, n.Exp2} {
			if _, err := f.unit(part); err != nil {
				return "", err
			}
		}
	case *ast.BinaryNode:
		left, err := f.unit(n.Left)
		if err != nil {
			return "", err
		}
		right, err := f.unit(n.Right)
		if err != nil {
			return "", err
		}
		switch n.Operator {
		case "+", "-", "<", "<=", ">", ">=", "==", "!=":
			if left != "" && right != "" && left != right {
				return "", fmt.Errorf("%w: %s %s %s: %s and %s do not go together", faultline.ErrInvalid, n.Left, n.Operator, n.Right, left, right)
			}
			if n.Operator == "+" || n.Operator == "-" {
				if left == "" {
					left = right
				}
				return left, nil
			}
		}
	}
	return "", nil
}
