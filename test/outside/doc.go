// Package outside holds a test that builds examples as modules of their own,
// as a program is built that is not part of this project.
package outside
