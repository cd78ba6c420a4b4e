//go:build race

package ui_test

func init() { slowdown = 10 }
