#!/usr/bin/env bash
# Makes sure that system packages are present.
#
#   system-packages.sh NAME...      NAME is a Debian package, or a command that one of them brings
#
# Installs what is missing with apt-get when it may (as root, where there is apt-get). Otherwise prints the line that
# would, and exits 1. What is present already is never touched, so this costs nothing the second time.
set -euo pipefail
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# The package, and a command or file that shows it is there: commands, so that other distributions work too.
readonly packages='
fio                         fio
xfsprogs                    mkfs.xfs
e2fsprogs                   mkfs.ext4
util-linux                  findmnt
mount                       losetup
debootstrap                 debootstrap
docker.io                   /usr/sbin/dockerd
slirp4netns                 slirp4netns
qemu-utils                  qemu-img
qemu-system-common          qemu-storage-daemon
containerd                  containerd
runc                        runc
containernetworking-plugins  /usr/lib/cni/bridge
busybox-static              /bin/busybox
nftables                    nft
iproute2                    ip
gcc                         gcc
libc6-dev                   /usr/include/stdio.h
'

missing=()
for name in "$@"; do
  # A name that is not in the table stands for a package with a command of that name.
  read -r package probe < <(awk -v name="$name" '$1 == name || $2 == name { print; found = 1; exit }
                                                 END { if (!found) print name, name }' <<<"$packages")
  if [[ $probe == /* ]]; then
    [[ -e $probe ]] || missing+=("$package")
  else
    command -v "$probe" >/dev/null || missing+=("$package")
  fi
done

((${#missing[@]} > 0)) || exit 0

if ! command -v apt-get >/dev/null; then
  echo "Missing: ${missing[*]} (Debian's names). Install them with this system's package manager." >&2
  exit 1
fi
if ((EUID != 0)); then
  echo "Missing: ${missing[*]}. To install them, run:" >&2
  echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}" >&2
  exit 1
fi

echo "Installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get -qq -o DPkg::Lock::Timeout=120 update </dev/null >/dev/null
apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "${missing[@]}" </dev/null >/dev/null
