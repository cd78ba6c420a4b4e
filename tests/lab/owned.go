package lab

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// An ownership shows what one user wrote as if somebody else had, as root and
// Exim's group: Exim refuses a configuration that is not root's, and cannot read
// what its group may not. The files themselves stay as they are.
type ownership struct {
	uid, gid     int // who owns the files on the disk
	asUID, asGID int // who is seen to own them
}

// ownershipOf returns nil for a directory of root's, which needs no change.
func ownershipOf(dir string, asUID, asGID int) (*ownership, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	st := info.Sys().(*syscall.Stat_t)
	if st.Uid == 0 {
		return nil, nil
	}
	return &ownership{uid: int(st.Uid), gid: int(st.Gid), asUID: asUID, asGID: asGID}, nil
}

// bind mounts from over over with mapped owners (mount_setattr(2), Linux 5.12).
func (o *ownership) bind(from, over string) error {
	users, err := o.userNamespace()
	if err != nil {
		return fmt.Errorf("map its owner to root: %w", err)
	}
	defer func() { _ = users.Close() }()
	tree, err := unix.OpenTree(unix.AT_FDCWD, from, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("clone mount: %w", err)
	}
	defer func() { _ = unix.Close(tree) }()
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(users.Fd())}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return fmt.Errorf("it belongs to user %d, and this system cannot show it to Exim as root's: %w", o.uid, err)
	}
	return unix.MoveMount(tree, "", unix.AT_FDCWD, over, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// userNamespace is a user namespace with the mapping, held by its file alone.
func (o *ownership) userNamespace() (*os.File, error) {
	holder := exec.Command("/bin/sleep", "60")
	holder.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: o.uid, HostID: o.asUID, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: o.gid, HostID: o.asGID, Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	if err := holder.Start(); err != nil {
		return nil, err
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", holder.Process.Pid))
	_ = holder.Process.Kill()
	_ = holder.Wait() // killed, as wanted
	return f, err
}
