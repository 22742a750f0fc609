#!/bin/sh
# Boots a Debian tree with systemd as process 1 of name spaces of its own, for packaging/test.sh: nothing
# of the machine is touched, and nothing is left in the tree.
#   boot.sh TREE WORK    WORK: an empty directory for what is mounted; ends when the system does
set -eu

tree=$1 work=$2
mkdir "$work/cgroup" "$work/layer" "$work/root"
mount -t cgroup2 none "$work/cgroup"
group=$work/cgroup/arrayfs-boot-$$
mkdir "$group"
echo $$ >"$group/cgroup.procs"
# shellcheck disable=SC2016  # the script has its own arguments
exec unshare --mount --pid --cgroup --uts --ipc --net --fork --kill-child sh -euc '
  tree=$0 work=$1 root=$1/root
  mount --make-rprivate /
  mount -t tmpfs layer "$work/layer"
  mkdir "$work/layer/upper" "$work/layer/work"
  mount -t overlay root -o "lowerdir=$tree,upperdir=$work/layer/upper,workdir=$work/layer/work" "$root"
  mount -t proc proc "$root/proc"
  mount -t sysfs -o ro sysfs "$root/sys"
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
  mount -t tmpfs -o mode=755 dev "$root/dev"
  for node in "null 1 3" "zero 1 5" "full 1 7" "random 1 8" "urandom 1 9" "tty 5 0" "fuse 10 229"; do
    set -- $node
    mknod -m 666 "$root/dev/$1" c "$2" "$3"
  done
  mkdir "$root/dev/shm"
  mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
  ln -s /proc/self/fd "$root/dev/fd"
  mount -t tmpfs -o mode=755 run "$root/run"
  mount --make-rshared "$root" # as systemd has it on a machine
  cd "$root"
  exec chroot . env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=multi-user.target --log-target=journal --show-status=0
' "$tree" "$work"
