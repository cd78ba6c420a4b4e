package browser

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// axe-core finds faults of pages that keep people out who do not see, hear or
// point. It is for tests alone, so it is no part of the repository: npm brings it
// into the user's cache, and what it brings is what was looked at once.
const (
	axePackage = "axe-core@4.14.1"
	axeFile    = "package/axe.min.js"
	axeSum     = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
)

// Axe returns the script of axe-core.
func Axe() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache: %w", err)
	}
	path := filepath.Join(cache, "maildomain-tests", axePackage+".js")
	if b, err := os.ReadFile(path); err == nil && sum(b) == axeSum {
		return string(b), nil
	}
	b, err := fetchAxe()
	if err != nil {
		return "", fmt.Errorf("fetch %s: %w", axePackage, err)
	}
	if got := sum(b); got != axeSum {
		return "", fmt.Errorf("fetch %s: its checksum is %s", axePackage, got)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	// Another test may be writing it too: each a file of its own, then one name.
	f, err := os.CreateTemp(filepath.Dir(path), "axe-")
	if err != nil {
		return "", err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return "", fmt.Errorf("keep %s: %w", axePackage, err)
	}
	return string(b), nil
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// fetchAxe has npm bring the package, and takes the one file out of it.
func fetchAxe() ([]byte, error) {
	dir, err := os.MkdirTemp("", "axe-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	for tries := 1; ; tries++ { // networks have moments
		cmd := exec.Command("npm", "pack", "--silent", axePackage)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err == nil {
			break
		}
		if tries == 3 {
			return nil, fmt.Errorf("%w\n%s", err, out)
		}
	}
	packed, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(packed) != 1 {
		return nil, fmt.Errorf("npm brought %d files: %w", len(packed), errors.Join(err, os.ErrNotExist))
	}
	f, err := os.Open(packed[0])
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	for files := tar.NewReader(z); ; {
		h, err := files.Next()
		if err != nil {
			return nil, fmt.Errorf("find %s: %w", axeFile, err)
		}
		if h.Name == axeFile {
			return io.ReadAll(io.LimitReader(files, 4<<20))
		}
	}
}
