package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// need ends the test if a program of systemd's is missing: as failed in CI.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed: apt-get install systemd", program)
	}
	t.Skipf("%s is not installed: apt-get install systemd", program)
}

var execStart = regexp.MustCompile(`(?m)^ExecStart=(\S+)(.*)$`)

// units copies the units to a directory where their programs are ones that exist.
func units(t *testing.T) (dir string, names []string) {
	t.Helper()
	dir = t.TempDir()
	for _, pattern := range []string{"*.service", "*.socket", "*.timer"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("no %s here: %v", pattern, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text = execStart.ReplaceAll(text, []byte("ExecStart=/bin/true$2"))
			if err := os.WriteFile(filepath.Join(dir, path), text, 0o644); err != nil {
				t.Fatal(err)
			}
			names = append(names, path)
		}
	}
	return dir, names
}

func TestUnitsAreValid(t *testing.T) {
	need(t, "systemd-analyze")
	dir, names := units(t)
	args := []string{"verify", "--man=no"}
	for _, name := range names {
		args = append(args, filepath.Join(dir, name))
	}
	cmd := exec.Command("systemd-analyze", args...)
	cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 { // it only warns of an unknown setting
		t.Errorf("systemd-analyze %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestServicesAreConfined(t *testing.T) {
	need(t, "systemd-analyze")
	dir, names := units(t)
	for _, name := range names {
		if filepath.Ext(name) != ".service" {
			continue
		}
		most := "20"
		if name == "maildomain.service" || name == "maildomain-renew.service" {
			most = "22" // they ask name servers and authorities, and so have a network
		}
		out, err := exec.Command("systemd-analyze", "security", "--offline=yes", "--threshold="+most, "--no-pager", filepath.Join(dir, name)).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// The command lines of the units are ones that the programs take.
func TestUnitsCallTheProgramsAsTheyAre(t *testing.T) {
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin, "maildomain/cmd/maildomain", "maildomain/cmd/panelcore")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	paths, err := filepath.Glob("*.service")
	if err != nil {
		t.Fatal(err)
	}
	called := map[string]bool{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		m := execStart.FindSubmatch(text)
		if m == nil {
			t.Fatalf("%s has no ExecStart", path)
		}
		program := filepath.Base(string(m[1]))
		called[program] = true
		args := append(strings.Fields(string(m[2])), "--help") // parsed, and then not run
		if out, err := exec.Command(filepath.Join(bin, program), args...).CombinedOutput(); err != nil {
			t.Errorf("%s: %s %s: %v\n%s", path, program, strings.Join(args, " "), err, out)
		}
		if out, err := exec.Command(filepath.Join(bin, program), append(args, "--no-such-flag")...).CombinedOutput(); err == nil {
			t.Errorf("%s takes any flag\n%s", program, out)
		}
	}
	if !called["maildomain"] || !called["panelcore"] {
		t.Errorf("units call %v", called)
	}
}

func TestCoreUserOfTheUnitsIsMade(t *testing.T) {
	need(t, "systemd-sysusers")
	if os.Geteuid() != 0 {
		t.Skip("not root: systemd-sysusers writes files of root's")
	}
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	file, err := filepath.Abs("panelcore.sysusers")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-sysusers", "--root="+root, file).CombinedOutput(); err != nil {
		t.Fatalf("systemd-sysusers: %v\n%s", err, out)
	}
	for _, f := range []string{"etc/passwd", "etc/group"} {
		text, err := os.ReadFile(filepath.Join(root, f))
		if err != nil || !strings.Contains(string(text), "panelcore:") {
			t.Errorf("%s: %q, %v", f, text, err)
		}
	}
}
