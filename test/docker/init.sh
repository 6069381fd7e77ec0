#!/usr/bin/env bash
# A Docker daemon in namespaces of its own. Called as `init.sh DATA` inside them, as their first process: everything in
# them ends with it. `init.sh enter CGROUP... -- COMMAND...` starts that, in the given cgroups.
set -euo pipefail

if [[ $1 == enter ]]; then
  shift
  while [[ $1 != -- ]]; do
    echo $$ >"$1/cgroup.procs"
    shift
  done
  shift
  exec unshare --net --mount --uts --ipc --pid --cgroup --fork --kill-child=KILL "$@"
fi

data=$1
mount --make-rprivate /
mount -t proc proc /proc
controllers=$(sed -n 's/^[0-9]*:\([^:]\+\):.*/\1/p' /proc/self/cgroup)
mount -t sysfs sysfs /sys
if [[ -n $controllers ]]; then
  mount -t tmpfs -o mode=755 cgroups /sys/fs/cgroup
  for controller in $controllers; do
    dir=/sys/fs/cgroup/${controller#name=}
    mkdir -p "$dir"
    if [[ $controller == name=* ]]; then
      mount -t cgroup -o "none,$controller" cgroup "$dir"
    else
      mount -t cgroup -o "$controller" cgroup "$dir"
    fi
  done
else
  # Version 2 gives controllers only to the children of a group that holds no process.
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mkdir -p /sys/fs/cgroup/init
  xargs -rn1 <"/sys/fs/cgroup/cgroup.procs" | while read -r pid; do
    echo "$pid" >/sys/fs/cgroup/init/cgroup.procs || true # It has ended meanwhile.
  done
  sed 's/[^ ]*/+&/g' /sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control
fi
mount -t tmpfs -o mode=755 run /run
mkdir /run/lock
# The name server that slirp4netns is.
echo nameserver 10.0.2.3 >/run/resolv.conf
mount --bind /run/resolv.conf /etc/resolv.conf
cp /etc/hosts /run/hosts
mount --bind /run/hosts /etc/hosts
# What is mounted in a container with propagation is to be seen here, as on any machine.
mount --make-rshared /
ip link set lo up

dockerd --data-root "$data" --exec-root /run/docker --pidfile /run/docker.pid --config-file "$data/daemon.json" &
trap 'kill -TERM $(cat /run/docker.pid)' TERM
while kill -0 $! 2>/dev/null; do
  wait -n || sleep 0.1
done
