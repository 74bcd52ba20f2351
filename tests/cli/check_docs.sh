#!/bin/sh
# The reference part of docs/cli.md must be what the table of verbs prints.
# check_docs.sh HEARTH DOCS; to bring it up to date: check_docs.sh HEARTH DOCS --write
set -eu
hearth=$1 docs=$2
dir=$(mktemp -d)
trap 'rm -r "$dir"' EXIT
{
	sed '/<!-- verbs -->/q' "$docs"
	echo
	"$hearth" help --markdown
	echo
	sed -n '/<!-- end of verbs -->/,$p' "$docs"
} >"$dir/cli.md"
if [ "${3-}" = --write ]; then
	cat "$dir/cli.md" >"$docs"
fi
diff -u "$docs" "$dir/cli.md"
