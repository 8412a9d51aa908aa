#!/usr/bin/env bash
# Start a session from a machine that has nothing but bash: the broker speaks in lines of text.
#
#   shell.sh BROKER_URL REQUEST_JSON REPLY_QUEUE
#
# REQUEST_JSON goes out as it is and should name REPLY_QUEUE as its "replyTo". Prints the answer.
set -euo pipefail
LC_ALL=C # lengths are counted in bytes

[[ "$1" =~ ^redis://(([^:@]*):([^@]*)@)?([^:/]+):([0-9]+) ]] || { echo "not a redis:// URL with a port" >&2; exit 2; }
user="${BASH_REMATCH[2]}" password="${BASH_REMATCH[3]}" host="${BASH_REMATCH[4]}" port="${BASH_REMATCH[5]}"
exec 3<>"/dev/tcp/$host/$port"

ask() { # a command and its arguments, each with its length before it
  printf '*%d\r\n' "$#" >&3
  local word
  for word in "$@"; do printf '$%d\r\n%s\r\n' "${#word}" "$word" >&3; done
}

answer() { # one reply into $REPLY: the last text of a list, "" for none
  local head text count
  IFS= read -r head <&3
  head="${head%$'\r'}"
  case "$head" in
    -*) echo "the broker refuses: ${head#-}" >&2; exit 1 ;;
    '$-1' | '*-1') REPLY="" ;;
    '$'*) IFS= read -r -N "${head#\$}" text <&3; IFS= read -r <&3; REPLY="$text" ;;
    '*'*) for ((count = ${head#\*}; count > 0; count--)); do answer; done ;;
    *) REPLY="$head" ;;
  esac
}

if [[ -n "$password" ]]; then ask AUTH "${user:-default}" "$password"; answer; fi
ask LPUSH daywork.requests "$2"; answer
ask BRPOP "$3" 60; answer
[[ -n "$REPLY" ]] || { echo "no answer: the request waits in its queue until an intake runs" >&2; exit 1; }
printf '%s\n' "$REPLY"
[[ "$REPLY" == *'"accepted":true'* ]]
