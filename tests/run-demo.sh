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
# Where the servers of "make mail" listen, which the module asks for their certificates.
servers="smtp=${SMTP_LISTEN:-127.0.0.1:2525} submissions=${SUBMISSIONS_LISTEN:-127.0.0.1:2465} submission=${SUBMISSION_LISTEN:-127.0.0.1:2587} \
imap=${IMAP_LISTEN:-127.0.0.1:2143} imaps=${IMAPS_LISTEN:-127.0.0.1:2993} pop3=${POP3_LISTEN:-127.0.0.1:2110} pop3s=${POP3S_LISTEN:-127.0.0.1:2995}"
printf '{"name": "maildomain", "socket": "run/maildomain.sock", "exec": [%s, "serve", "--root", %s, "--servers", %s]}\n' \
	"$(quoted "$here/bin/maildomain")" "$(quoted "$data/root")" "$(quoted "$servers")" >"$data/modules.d/maildomain.json"
exec "$here/bin/panelcore" serve --demo
