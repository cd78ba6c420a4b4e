#!/bin/sh
# make run: sets DATA up, tells the core where the module is, and starts the core,
# which starts the module when it is first needed.
set -eu
here=$(pwd)
mkdir -p "$DATA/modules.d" "$DATA/run"
data=$(cd "$DATA" && pwd)
# What setup did is of interest only where it went wrong.
if ! said=$("$here/bin/maildomain" setup --root "$data/root" 2>&1); then
	printf '%s\n' "$said" >&2
	exit 1
fi
# JSON knows the backslash and the quote.
quoted() { printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')"; }
printf '{"name": "maildomain", "socket": "run/maildomain.sock", "exec": [%s, "serve", "--root", %s]}\n' \
	"$(quoted "$here/bin/maildomain")" "$(quoted "$data/root")" >"$data/modules.d/maildomain.json"
exec "$here/bin/panelcore" serve --demo
