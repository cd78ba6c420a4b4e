package files

import (
	"sync"

	"golang.org/x/sys/unix"
)

// seconds are the times of the files that were put in place last. Dovecot reads a
// passwd-file anew only when its size or the whole second of its time differs from
// what it read last, also where the file was away in between.
type seconds struct {
	mu   sync.Mutex
	last map[string]int64 // by path, seconds since 1970
}

// mostSeconds bounds what is remembered of files that are long settled.
const mostSeconds = 4096

// renew makes a file that is about to replace another at least a second newer than
// that and than whatever stood there lately.
func (t *Tree) renew(f stagedFile, stage *place) error {
	var now, was unix.Stat_t
	if err := stage.try("look at", f.from, func() error {
		return unix.Fstatat(int(stage.dir.Fd()), f.from, &now, unix.AT_SYMLINK_NOFOLLOW)
	}); err != nil {
		return err
	}
	_ = unix.Fstatat(int(f.place.dir.Fd()), f.name, &was, unix.AT_SYMLINK_NOFOLLOW) // none stands there: zero
	p := f.place.path + "/" + f.name

	t.seconds.mu.Lock()
	defer t.seconds.mu.Unlock()
	if t.seconds.last == nil || len(t.seconds.last) >= mostSeconds {
		kept := map[string]int64{}
		for q, s := range t.seconds.last {
			if s >= now.Mtim.Sec-1 {
				kept[q] = s
			}
		}
		t.seconds.last = kept
	}
	second := now.Mtim.Sec
	if least := max(was.Mtim.Sec, t.seconds.last[p]) + 1; second < least {
		second = least
		times := []unix.Timespec{{Sec: second}, {Sec: second}}
		if err := stage.try("date", f.from, func() error {
			return unix.UtimesNanoAt(int(stage.dir.Fd()), f.from, times, unix.AT_SYMLINK_NOFOLLOW)
		}); err != nil {
			return err
		}
	}
	t.seconds.last[p] = second
	return nil
}
