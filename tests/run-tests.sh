#!/bin/sh
# make test: linters and all tests. Says at the end what failed and which tests were
# left out, and why; with CI set none may be.
set -eu
make --no-print-directory lint

race=-race
if ! command -v "${CC:-gcc}" >/dev/null 2>&1; then
	race=
	echo "left out: the race detector, for there is no C compiler (package gcc)"
fi
report=$(mktemp)
trap 'rm -f "$report"' EXIT
go build -o "$report" ./tests/report
# Two packages at once, for most of the time is spent waiting for servers; those that
# take longest first. What failed is the report's to say.
{ go test $race -count=1 -timeout=40m -p=2 -json "$@" ./tests ./module ./... || true; } 2>&1 | "$report"
