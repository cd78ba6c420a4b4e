package lab

import (
	"runtime"
	"syscall"
	"testing"
)

// The machine's mounts would look changed, and the servers of a space outlive it.
func TestNoSpaceTakesTheFirstThread(t *testing.T) {
	for range 200 {
		on := make(chan int)
		apart(func() { on <- syscall.Gettid() })
		if <-on == syscall.Getpid() {
			t.Fatal("it runs on the process's first thread")
		}
		runtime.Gosched()
	}
}
