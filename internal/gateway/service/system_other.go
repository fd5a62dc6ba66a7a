//go:build !linux

package service

import "syscall"

// attributes put the process in a group of its own. Without a death signal it outlives a headrace that is killed.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
