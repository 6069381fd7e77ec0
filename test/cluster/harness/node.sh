#!/usr/bin/env bash
# The first process of a node's namespaces: lays its filesystems out, then runs and minds what a node of Kubernetes runs.
#
#   node.sh NAME DIRECTORY BINARIES     DIRECTORY: the node's disk and configuration
#   node.sh enter CGROUP... -- ...      starts that in the given cgroups, and in namespaces of its own
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

name=$1 directory=$2 binaries=$3
export PATH=$binaries:/usr/sbin:/usr/bin:/sbin:/bin

cgroups() {
  local controller dir
  local controllers
  controllers=$(sed -n 's/^[0-9]*:\([^:]\+\):.*/\1/p' /proc/self/cgroup)
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
  [[ -z $controllers ]] || return 0
  # Version 2 gives controllers only to the children of a group that holds no process.
  umount /sys/fs/cgroup
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mkdir -p /sys/fs/cgroup/init
  echo $$ >/sys/fs/cgroup/init/cgroup.procs
  sed 's/[^ ]\+/+&/g' /sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control
}

# Kubelet sets these for the whole machine. Here it finds them as it wants them, and leaves the machine's alone.
settings() {
  local setting
  mkdir -p /run/settings
  for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    echo "${setting#*=}" >"/run/settings/${setting//\//.}"
    mount --bind "/run/settings/${setting//\//.}" "/proc/sys/${setting%=*}"
  done
}

filesystems() {
  local device
  mount --make-rprivate /
  mount -t proc proc /proc
  mount -t sysfs sysfs /sys
  cgroups
  mount -t tmpfs -o mode=755 run /run
  mkdir /run/lock
  settings
  # Nothing of this machine's own is used of these, and nothing is written there.
  mount -t tmpfs -o mode=755 var /var/lib
  mkdir /var/lib/{kubelet,containerd,flashcopy}
  mount --bind "$directory/kubelet" /var/lib/kubelet
  mount --bind "$directory/containerd" /var/lib/containerd
  mount --bind "$directory/log" /var/log
  # Not by "mount -o loop", which asks all other devices' filesystems what they are, and one of them may not answer.
  device=$(losetup --find --show "$directory/disk")
  mount "$device" /var/lib/flashcopy
  # It goes with the mount.
  losetup --detach "$device"
  # What is mounted in a container with propagation is to be seen here, as on any machine.
  mount --make-rshared /
}

# Starts it again whenever it ends.
mind() {
  local what=$1
  shift
  while :; do
    "$@" >>"/var/log/$what.log" 2>&1 </dev/null || true
    echo "$what has ended and is started again" >>"/var/log/$what.log"
    sleep 1
  done
}

filesystems
hostname "$name"
until [[ -n $(ip route show default) ]]; do sleep 0.05; done # The other side lays the cable.
sysctl -qw net.ipv4.ip_forward=1

mind containerd containerd --config "$directory/containerd.toml" &
until ctr version >/dev/null 2>&1; do sleep 0.1; done
# A kubelet that does not find the image of its pods' first container tries to pull it, and then waits.
until [[ -e $directory/kubelet-may-start ]]; do sleep 0.1; done
mind kubelet kubelet --config "$directory/kubelet.yaml" --kubeconfig "$directory/kubelet.conf" \
  --hostname-override "$name" --v 2 &
mind kube-proxy kube-proxy --config "$directory/kube-proxy.yaml" &
while :; do
  wait -n || true
  sleep 1
done
