#!/bin/sh
# Swap on a file, so that a machine has memory for more arrays than fit into its RAM.
#   swapfile.sh add [--fstab] SIZE [PATH]   SIZE as 8G; --fstab: after the next boot, too
#   swapfile.sh remove [PATH]
#   swapfile.sh status
# PATH is /swapfile unless given. A step that fails takes back those before it.
set -eu

fstab=${FSTAB:-/etc/fstab}
spare_bytes=$((256 << 20)) # what a file system keeps for others

fail() {
  echo "swapfile.sh: $*" >&2
  exit 1
}
usage() {
  echo "usage: swapfile.sh add [--fstab] SIZE [PATH] | remove [PATH] | status" >&2
  exit 2
}

# The names of swap files and partitions in use. The kernel writes a space as \040.
in_use() {
  tail -n +2 /proc/swaps | cut -d ' ' -f 1 | cut -f 1 | grep -Fqx -- "$1"
}
in_fstab() {
  [ -e "$fstab" ] && awk -v path="$1" '$1 == path { found = 1 } END { exit !found }' "$fstab"
}

bytes_of() {
  number=${1%[KMGT]}
  case $number in
    '' | *[!0-9]* | 0*) fail "size '$1': give bytes with an optional K, M, G or T, as 8G" ;;
  esac
  [ ${#number} -le 12 ] || fail "size '$1': too large"
  case $1 in
    *K) echo $((number << 10)) ;;
    *M) echo $((number << 20)) ;;
    *G) echo $((number << 30)) ;;
    *T) echo $((number << 40)) ;;
    *) echo "$number" ;;
  esac
}

check_path() {
  case $1 in
    *[!A-Za-z0-9/._-]*) fail "$1: give a path of letters, digits, '/', '.', '_' and '-'" ;;
    /*) ;;
    *) fail "$1: give an absolute path" ;;
  esac
}

check_file_system() {
  type=$(stat -f -c %T -- "$1")
  case $type in
    btrfs | zfs | bcachefs)
      fail "$1: $type copies what is written and cannot hold such a swap file; give a PATH on ext4 or xfs"
      ;;
    overlayfs | tmpfs | ramfs | nfs | fuse* | UNKNOWN*)
      fail "$1: $type cannot hold swap; give a PATH on ext4 or xfs"
      ;;
  esac
}

undo() {
  [ -n "${made-}" ] || return 0
  echo "swapfile.sh: taken back: $path" >&2
  ! in_use "$path" || swapoff -- "$path"
  [ -z "${new_fstab-}" ] || rm -f -- "$new_fstab"
  rm -f -- "$path"
}

# The whole of fstab is replaced at once: a half-written one would stop the next boot.
edit_fstab() {
  new_fstab=$(mktemp "$fstab.XXXXXX")
  "$@" >"$new_fstab"
  chmod --reference="$fstab" "$new_fstab"
  chown --reference="$fstab" "$new_fstab"
  mv -f -- "$new_fstab" "$fstab"
  new_fstab=
}
with_line() {
  cat "$fstab"
  echo "$path none swap sw 0 0"
}
without_line() {
  awk -v path="$path" '!($1 == path && $3 == "swap")' "$fstab"
}

add() {
  directory=$(dirname -- "$path")
  [ -d "$directory" ] || fail "$directory: no such directory"
  ! in_use "$path" || fail "$path: is in use as swap already; remove it first"
  if [ -e "$path" ] || [ -L "$path" ]; then
    fail "$path: is there already; give another PATH or remove it"
  fi
  [ -z "$persistent" ] || [ -w "$fstab" ] || fail "$fstab: cannot be written"
  [ -z "$persistent" ] || ! in_fstab "$path" || fail "$path: has a line in $fstab already"
  check_file_system "$directory"
  free_bytes=$(($(df --output=avail -k -- "$directory" | tail -n 1) * 1024))
  [ "$((bytes + spare_bytes))" -le "$free_bytes" ] ||
    fail "$directory: has $((free_bytes >> 20)) MiB free; $size and 256 MiB for others do not fit"

  trap undo EXIT
  trap 'exit 130' INT TERM HUP
  umask 077
  set -C # the file is made here, by nobody else and behind no link
  : >"$path"
  set +C
  made=1
  # Where a file system cannot allocate, zeros are written.
  fallocate -l "$bytes" -- "$path" 2>/dev/null ||
    head -c "$bytes" /dev/zero | dd of="$path" bs=1M iflag=fullblock conv=fsync,notrunc status=none
  allocated=$(($(stat -c %b -- "$path") * $(stat -c %B -- "$path")))
  [ "$allocated" -ge "$bytes" ] || fail "$path: has holes"
  mkswap -- "$path" >/dev/null
  swapon -- "$path"
  [ -z "$persistent" ] || edit_fstab with_line
  made=
  echo "$path: $size of swap in use"
}

remove() {
  in_use "$path" || in_fstab "$path" || fail "$path: is no swap file in use; status lists them"
  [ -f "$path" ] || [ ! -e "$path" ] || fail "$path: is no file"
  # What is there must fit into memory first; swapoff says so otherwise.
  ! in_use "$path" || swapoff -- "$path"
  ! in_fstab "$path" || edit_fstab without_line
  rm -f -- "$path"
  echo "$path: removed"
}

action=${1-}
[ $# -eq 0 ] || shift
persistent=
case $action in
  add)
    [ "${1-}" != --fstab ] || { persistent=1 && shift; }
    case $# in 1 | 2) ;; *) usage ;; esac
    size=$1 path=${2-/swapfile}
    bytes=$(bytes_of "$size")
    [ "$bytes" -ge $((1 << 20)) ] || fail "size '$size': give 1M at least"
    ;;
  remove)
    [ $# -le 1 ] || usage
    path=${1-/swapfile}
    ;;
  status)
    [ $# -eq 0 ] || usage
    swapon --show
    [ -n "$(swapon --show)" ] || echo "no swap in use"
    exit 0
    ;;
  *) usage ;;
esac
check_path "$path"
[ "$(id -u)" = 0 ] || fail "$action: only root may change swap"
"$action"
