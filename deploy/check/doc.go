// Package check holds what shows that the files under deploy are what their tools read. It is a module of its own:
// its dependencies are none of the product's.
package check
