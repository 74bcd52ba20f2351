#!/bin/sh
# The man page must be read by groff without a warning.  check_man.sh HEARTH
set -eu
command -v groff >/dev/null || {
	echo "groff is not installed"
	exit 77
}
warnings=$("$1" help --man | groff -man -Tutf8 -ww -z 2>&1)
[ -z "$warnings" ] || {
	echo "$warnings"
	exit 1
}
