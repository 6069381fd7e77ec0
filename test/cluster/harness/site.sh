#!/usr/bin/env bash
# The first process of the namespaces that a whole cluster is in: everything in them ends with it.
# `site.sh enter CGROUP... -- COMMAND...` starts one, in the given cgroups and namespaces of its own.
set -euo pipefail

if [[ $1 == enter ]]; then
  shift
  while [[ $1 != -- ]]; do
    echo $$ >"$1/cgroup.procs"
    shift
  done
  shift
  exec unshare --net --mount --ipc --pid --fork --kill-child=KILL "$@"
fi

address=$1
mount --make-rprivate /
# What others have mounted is kept alive by this copy of it for as long as it is there.
findmnt --raw --noheadings --output TARGET,SOURCE,FSTYPE | tac | while read -r target source type; do
  if [[ $target != / && ($source == /dev/loop* || $type == fuse.* || $type == overlay || $type == nsfs) ]]; then
    umount -i -c -l "$target" || true # It was in another that is gone already.
  fi
done
mount -t proc proc /proc
ip link set lo up
ip link add nodes type bridge
ip address add "$address" dev nodes
ip link set nodes up
sysctl -qw net.ipv4.ip_forward=1
echo ready
# What is started in here and left by its parent ends up with this process.
while :; do
  wait
  sleep 1
done
