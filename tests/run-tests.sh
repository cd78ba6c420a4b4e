#!/bin/sh
# make test: linters and all tests. Says at the end which tests were left out, and
# why; with CI set nothing may be.
set -eu
make --no-print-directory lint

race=-race
if ! command -v "${CC:-gcc}" >/dev/null 2>&1; then
	race=
	echo "left out: the race detector, for there is no C compiler (package gcc)"
fi
out=$(mktemp)
trap 'rm -f "$out"' EXIT
status=0
# -v names the tests that were left out; the packages run one after the other, for
# tests of crashes and of real servers want the machine to themselves.
go test $race -count=1 -timeout=14m -p=1 -v "$@" ./... >"$out" 2>&1 || status=$?
grep -E '^(ok|FAIL|panic:|\?)' "$out" | grep -v 'no test files' || true
if [ $status -ne 0 ]; then
	echo
	echo "what failed:"
	grep -nE -A 40 -e '--- FAIL|^panic:|DATA RACE|\[build failed\]|^# ' "$out" | head -n 400
fi
left=$(grep -A 1 -e '^--- SKIP' "$out" || true)
if [ -n "$left" ]; then
	echo
	echo "left out:"
	printf '%s\n' "$left"
	if [ -n "${CI:-}" ]; then
		echo "under CI no test may be left out"
		status=1
	fi
elif [ $status -eq 0 ]; then
	echo "all tests ran"
fi
exit $status
