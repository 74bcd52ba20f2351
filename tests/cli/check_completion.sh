#!/bin/bash
# Asks the completion for words as bash does, with a hearth that knows two VMs.  check_completion.sh HEARTH
set -eu
program=$1
source <("$program" completion bash)

# The completion asks `hearth vm list --ids`; everything else is the real program's own text.
hearth() {
	[ "$*" = "vm list --ids" ] && printf 'vm-11111111\nvm-22222222\n'
}

fails=0
expect() { # expect "words typed" "completions"
	COMP_WORDS=()
	IFS='|' read -r -a COMP_WORDS <<<"hearth|$1"
	[ "${1: -1}" = '|' ] && COMP_WORDS+=('')
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	_hearth
	if [ "${COMPREPLY[*]-}" != "$2" ]; then
		echo "$1: expected \"$2\", got \"${COMPREPLY[*]-}\""
		fails=1
	fi
}

expect 'v' 'vm version'
expect 'vm|s' 'show start stop'
expect 'vm|show|vm-1' 'vm-11111111'
expect 'vm|rm|vm-11111111|vm-' 'vm-11111111 vm-22222222'
expect 'vm|stop|--f' '--force'
expect 'vm|create|--wait|' 'none network ready'
expect 'vm|create|--vcpus|' ''
expect 'image|import|x|--k' '--kernel'
expect 'completion|b' 'bash'
expect 'help|ne' 'network'
expect 'vm|list|--state|st' 'starting stopping stopped'
exit $fails
