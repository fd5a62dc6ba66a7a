//go:build !linux

package trim

func program() {}
