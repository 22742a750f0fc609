#!/bin/sh
# Builds the Debian packages and tries them in a clean Debian 12: install, run as a service under a
# booted systemd, mount, upgrade with an array mapped, remove, purge. Then the same with the rpm
# packages, short of the service. Needs root, /dev/fuse and a Debian mirror; installs the tools it
# needs.
#   test.sh [--twice] [DIR]    --twice: builds a second time and compares; DIR: keeps the packages there
set -eu

twice=
[ "${1-}" != --twice ] || { twice=1 && shift; }
cd "$(dirname "$0")/.."
if [ "${ARRAYFS_PACKAGING_NAMESPACE-}" != 1 ]; then
  # Whatever is mounted goes with the last process of this name space.
  [ "$(id -u)" = 0 ] || { echo "test.sh: not root: skipped" >&2 && exit 77; }
  [ -e /dev/fuse ] || { echo "test.sh: no /dev/fuse here: skipped" >&2 && exit 77; }
  ARRAYFS_PACKAGING_NAMESPACE=1 exec unshare -m --propagation private "packaging/test.sh" ${twice:+--twice} "$@"
fi

fail() {
  echo "test.sh: $*" >&2
  exit 1
}
step() {
  echo "== $*"
}

work=$(mktemp -d "${TMPDIR:-/tmp}/arrayfs-packaging-XXXXXX")
tree=$work/tree
boot=
clean_up() {
  [ -z "$boot" ] || kill -KILL "$boot" 2>/dev/null || true # its system goes with it
  awk -v work="$work/" 'index($5, work) == 1 { print $5 }' /proc/self/mountinfo | tac | while read -r point; do
    umount -l "$point"
  done
  rm -rf --one-file-system "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM
debs=${1:-$work/debs}

step "tools"
missing=
for package in build-essential debhelper dh-python debootstrap fakeroot lintian rpm; do
  case $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>&1) in
    ii*) ;;
    *) missing="$missing $package" ;;
  esac
done
mount-scripts/packages.sh build
if [ -n "$missing" ]; then
  apt-get update -qq
  # shellcheck disable=SC2086  # a list of words
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing
fi

step "build"
packaging/build-debs.sh "$debs" >"$work/build.log" 2>&1 || { tail -n 50 "$work/build.log" && exit 1; }
(cd "$debs" && ls -l -- *.deb)
lintian --fail-on warning,error --suppress-tags bad-distribution-in-changes-file "$debs"/*.changes

if [ -n "$twice" ]; then
  step "build again"
  packaging/build-debs.sh "$work/again" >"$work/again.log" 2>&1
  for deb in "$debs"/*.deb; do
    cmp "$deb" "$work/again/${deb##*/}" || fail "two builds of ${deb##*/} differ"
  done
fi

step "a clean Debian 12"
debootstrap --variant=minbase bookworm "$tree" >"$work/debootstrap.log" || { tail "$work/debootstrap.log" && exit 1; }
in_tree() {
  chroot "$tree" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive "$@"
}
mount -t proc proc "$tree/proc"
mount -t tmpfs -o mode=755 run "$tree/run"
mount -t tmpfs -o mode=1777 shm "$tree/dev/shm"
[ -e "$tree/dev/fuse" ] || mknod -m 666 "$tree/dev/fuse" c 10 229
printf '#!/bin/sh\nexit 101\n' >"$tree/usr/sbin/policy-rc.d" # no services in a chroot
chmod +x "$tree/usr/sbin/policy-rc.d"
mkdir "$tree/debs"
cp "$debs"/*.deb "$tree/debs"
in_tree apt-get update -qq
# What the packages need is there before, so that what is left afterwards is theirs.
in_tree apt-get install -qq -y --no-install-recommends python3-numpy fuse3 systemd systemd-sysv dbus libpam-systemd \
  libexpected-dev libpng16-16 libspdlog1.10 libcap-ng0 libncurses6 man-db >"$work/apt.log" 2>&1 ||
  { tail "$work/apt.log" && exit 1; }
files() {
  (cd "$tree" && find . -xdev \( -path ./proc -o -path ./var/cache -o -path ./var/log -o -path ./var/lib/dpkg \
    -o -path ./debs -o -path ./var/lib/apt \) -prune -o -print | sort)
}
files >"$work/before"

step "install"
in_tree sh -c 'apt-get install -qq -y --no-install-recommends /debs/*.deb' >"$work/install.log" 2>&1 ||
  { tail "$work/install.log" && exit 1; }
in_tree arrayfs --version
in_tree man -w arrayfs mount.arrayfs arrayfs.conf arrayfs-control libshm >"$work/pages"
[ "$(wc -l <"$work/pages")" = 5 ] || fail "a man page is missing"
in_tree systemd-analyze verify /usr/lib/systemd/system/arrayfs@.service
in_tree getent group arrayfs >/dev/null || fail "no group arrayfs"

step "as a service"
mkdir -p "$tree/mnt/arrays"
mkdir "$work/boot"
packaging/boot.sh "$tree" "$work/boot" >"$work/boot.log" 2>&1 &
boot=$!
# Process 1 in there is the child of unshare, which the script became.
init() {
  cat "/proc/$boot/task/$boot/children" 2>/dev/null
}
in_boot() {
  # shellcheck disable=SC2046  # one number
  timeout 300 nsenter -t $(init) --mount --pid --cgroup --uts --ipc --net --root --wd "$@"
}
tries=0
until in_boot systemctl is-system-running 2>/dev/null | grep -Eq 'running|degraded'; do
  tries=$((tries + 1))
  if [ $tries -eq 60 ] || ! kill -0 $boot; then
    cat "$work/boot.log"
    fail "systemd does not come up"
  fi
  sleep 1
done
printf 'dir = /mnt/arrays\nsize = 64M\n' | in_boot sh -c 'cat >/etc/arrayfs/arrays.conf'
in_boot python3 - <packaging/service_test.py ||
  { in_boot journalctl --no-pager -n 40 -u 'arrayfs@*' && fail "the service"; }
kill -KILL "$(init)" # and with it everything in there
wait $boot || true
boot=
find "$work"/boot/cgroup/arrayfs-boot-* -depth -type d -exec rmdir {} +

step "mount, save, map"
in_tree timeout 60 mount -t arrayfs arrayfs:arrays /mnt/arrays -o size=64M
cat >"$tree/mapper.py" <<'PYTHON'
import sys, numpy as np, arrayfs
np.save("/mnt/arrays/w.npy", np.zeros(1 << 20))
mapped = arrayfs.create("/mnt/arrays/m.npy", "float64", (1 << 20,))
kept = open("/mnt/arrays/w.npy", "rb+")
print("mapped", flush=True)
for count, line in enumerate(sys.stdin, 1):
    mapped[:] = count
    kept.seek(-8, 2)
    kept.write(np.float64(count).tobytes())
    kept.flush()
    assert np.load("/mnt/arrays/w.npy")[-1] == count and np.load("/mnt/arrays/m.npy").min() == count
    print("stored", count, flush=True)
PYTHON
mkfifo "$work/orders" "$work/answers"
in_tree timeout 300 python3 /mapper.py <"$work/orders" >"$work/answers" &
mapper=$!
exec 3>"$work/orders" 4<"$work/answers"
hear() {
  read -r answer <&4 || fail "the process with the mapping died"
  [ "$answer" = "$1" ] || fail "the process with the mapping says: $answer"
}
hear mapped
echo >&3
hear "stored 1"
server() {
  sed -n 's/^server_pid: //p' "$tree/mnt/arrays/.arrayfs/status"
}

step "upgrade while it is mapped"
before=$(server)
in_tree sh -c 'dpkg-deb -R /debs/arrayfs_*.deb /debs/newer'
sed -i 's/^Version: .*/&+newer/' "$tree/debs/newer/DEBIAN/control"
in_tree dpkg-deb -b /debs/newer /debs/arrayfs-newer.deb >/dev/null
in_tree timeout 120 dpkg -i /debs/arrayfs-newer.deb >"$work/upgrade.log" 2>&1 || { cat "$work/upgrade.log" && exit 1; }
[ "$(server)" != "$before" ] || fail "the old program still serves"
grep -q '^upgrades: 1$' "$tree/mnt/arrays/.arrayfs/status" || fail "the daemon was not upgraded"
readlink "/proc/$(server)/exe" | grep -qv deleted || fail "the old program still serves"
echo >&3
hear "stored 2"

step "remove and purge"
! in_tree timeout 120 apt-get remove -qq -y arrayfs >"$work/remove.log" 2>&1 || fail "removed while an array is in use"
grep -q 'in use by .*python3' "$work/remove.log" ||
  { cat "$work/remove.log" && fail "who uses the arrays is not said"; }
echo >&3
hear "stored 3"
exec 3>&- # the process ends
wait "$mapper"
in_tree timeout 120 dpkg --configure -a
in_tree timeout 120 apt-get remove -qq -y arrayfs >"$work/remove.log" 2>&1 || { cat "$work/remove.log" && exit 1; }
mounted() {
  awk -v tree="$tree/" '$1 ~ /^arrayfs/ && index($2, tree) == 1 { print $1 }' /proc/self/mounts
}
[ "$(mounted)" = arrayfs-store ] || fail "not only the arrays were kept: $(mounted)"
in_tree timeout 120 apt-get purge -qq -y arrayfs libshm1 libshm-dev python3-arrayfs >"$work/purge.log" 2>&1 ||
  { cat "$work/purge.log" && exit 1; }
[ -z "$(mounted)" ] || fail "a store was left"
rm -f "$tree/mapper.py"
rmdir "$tree/mnt/arrays"
files >"$work/after"
diff "$work/before" "$work/after" || fail "the packages left files"

step "the rpm packages"
packaging/build-rpms.sh "$work/rpms" >"$work/rpms.log" 2>&1 || { tail -n 50 "$work/rpms.log" && exit 1; }
(cd "$work/rpms" && ls -l -- *.rpm)
rpms() {
  # What they need is there under Debian's names.
  rpm --root "$tree" --dbpath /rpmdb --nodeps "$@"
}
rpms -i "$work"/rpms/*.rpm
mkdir "$tree/mnt/arrays"
in_tree timeout 60 mount -t arrayfs arrayfs:arrays /mnt/arrays -o size=64M
in_tree env LD_LIBRARY_PATH=/usr/lib64 PYTHONPATH=/usr/lib/python3.11/site-packages timeout 60 python3 -B - <<'PYTHON'
import numpy as np, arrayfs
arrayfs.create("/mnt/arrays/w.npy", "float64", (1000,))[:] = 2
with arrayfs.lock("/mnt/arrays/w.npy"):
    assert np.load("/mnt/arrays/w.npy", mmap_mode="r").sum() == 2000
PYTHON
before=$(server)
rpms -U --force "$work"/rpms/arrayfs-[0-9]*.rpm
[ "$(server)" != "$before" ] || fail "after the upgrade of the rpm package the old program still serves"
in_tree timeout 60 arrayfs umount --discard /mnt/arrays
rpms -e arrayfs libshm libshm-devel python3-arrayfs
rm -r "$tree/rpmdb"
rmdir "$tree/mnt/arrays"
# The directories belong to the package `filesystem` where there are rpm packages.
files | comm -13 "$work/before" - | while read -r left; do
  [ -d "$tree/$left" ] || fail "the rpm packages left $left"
done
echo "packaging: 1 passed, 0 failed"
