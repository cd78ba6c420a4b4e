package xml

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// need ends the test if a program is missing: as failed in CI.
func need(t *testing.T, program, pkg string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed: apt-get install %s", program, pkg)
	}
	t.Skipf("%s is not installed: apt-get install %s", program, pkg)
}

func lint(file string) ([]byte, error) {
	return exec.Command("xmllint", "--noout", "--relaxng", "metadata.rng", file).CombinedOutput()
}

func TestEveryFileKeepsToTheSchema(t *testing.T) {
	need(t, "xmllint", "libxml2-utils")
	files, err := filepath.Glob("*.xml")
	if err != nil || len(files) < 3 {
		t.Fatalf("metadata and message files: %q, %v", files, err)
	}
	for _, f := range files {
		if out, err := lint(f); err != nil {
			t.Errorf("%s: %v\n%s", f, err, out)
		}
	}
}

func TestSchemaRefusesWhatPanelsDoNotKnow(t *testing.T) {
	need(t, "xmllint", "libxml2-utils")
	for _, text := range []string{
		`<mgrdata><metadata name="x" type="table"/></mgrdata>`,
		`<mgrdata><metadata name="x" type="form" level="everybody"><form><page name="p"><field name="f"><input type="text" name="f"/></field></page></form></metadata></mgrdata>`,
		`<mgrdata><metadata name="x" type="form" level="user"><form><page name="p"><field name="f"><input type="slider" name="f"/></field></page></form></metadata></mgrdata>`,
		`<mgrdata><lang name="de"><messages name="x"><msg name="a">b</msg></messages></lang></mgrdata>`,
		`<mgrdata><lang name="en"><messages name="x"><msg name="a"></msg></messages></lang></mgrdata>`,
	} {
		f := filepath.Join(t.TempDir(), "wrong.xml")
		if err := os.WriteFile(f, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := lint(f); err == nil {
			t.Errorf("the schema takes %s\n%s", text, out)
		}
	}
}
