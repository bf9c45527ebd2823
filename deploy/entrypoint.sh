#!/bin/sh
# What the image starts:
#
#   entrypoint.sh [serve]               waymark serve
#   entrypoint.sh --listen … --engine … waymark serve with these options
#   entrypoint.sh stash status          any other command of waymark
#   entrypoint.sh wait-until-safe       waits until the storage node here may be stopped: see there
#
# Of each variable WAYMARK_…_FILE, the content of that file becomes WAYMARK_…: for secrets that are mounted as files.
set -eu

for name in $(env | sed -n 's/^\(WAYMARK_[A-Z0-9_]*\)_FILE=.*/\1/p'); do
  eval "file=\${${name}_FILE} given=\${${name}+given}"
  if [ -n "$given" ]; then
    echo "entrypoint.sh: ${name} and ${name}_FILE are both set: take one" >&2
    exit 2
  fi
  if [ ! -r "$file" ]; then
    echo "entrypoint.sh: ${name}_FILE: $file cannot be read by user $(id -u)" >&2
    exit 2
  fi
  export "$name=$(cat "$file")"
  unset "${name}_FILE"
done

# Before a storage node is stopped: until the others hold all that it holds, or WAYMARK_SAFE_SECONDS (240) have passed. Stopping it sooner loses nothing, either; but with a second node
# away some keys could not be read or written until one is back. WAYMARK_STASH_ADVERTISE is the node's address, and WAYMARK_ENGINE the space it belongs to.
wait_until_safe() {
  until=$(($(date +%s) + ${WAYMARK_SAFE_SECONDS:-240}))
  nodes=$(waymark --timeout 10s stash --space "$WAYMARK_ENGINE" nodes)
  node=$(printf "%s\n" "$nodes" | while read -r id _ address _; do
    if [ "${address#tls://}" = "$WAYMARK_STASH_ADVERTISE" ]; then echo "$id"; fi
  done)
  if [ -z "$node" ]; then
    echo "no storage node at $WAYMARK_STASH_ADVERTISE: nothing to wait for"
    return 0
  fi
  while ! waymark stash --space "$WAYMARK_ENGINE" safe "$node"; do
    if [ "$(date +%s)" -ge "$until" ]; then return 1; fi
    sleep 2
  done
}

case "${1-}" in
  '') set -- serve ;;
  wait-until-safe)
    wait_until_safe
    exit
    ;;
  -h | --help | -V | --version) ;;
  -*) set -- serve "$@" ;;
esac

# In the place of this shell, so that signals reach it.
exec waymark "$@"
