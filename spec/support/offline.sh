#!/bin/sh
# offline.sh COMMAND...: runs it where nothing answers: in a network of its own in which packets to 10.9.0.0/16
# and fd09::/64 vanish, 10.1.0.0/16 is unreachable and 10.2.0.0/16 forbidden. No name server answers; some names
# stand in a file. Ends with 77 where the kernel does not let us.
set -eu
[ "${1-}" = inside ] || exec unshare --map-root-user --net --mount "$0" inside "$@" || exit 77
shift
setup() {
  ip link set lo up
  ip link add void type veth peer name end  # nobody is at the other end
  ip link set void arp off up
  ip link set end up
  ip addr add 10.9.0.1/16 dev void
  ip addr add fd09::1/64 nodad dev void
  ip route add unreachable 10.1.0.0/16
  ip route add prohibit 10.2.0.0/16
  files=$(mktemp -d)
  echo "nameserver 10.9.0.53" >"$files/resolv.conf"
  printf '%s\n' "127.0.0.1 localhost" "fd09::2 hole.test" "127.0.0.1 hole.test" \
    "fd09::1 refuses.test" "127.0.0.1 refuses.test" >"$files/hosts"
  mount --bind "$files/resolv.conf" /etc/resolv.conf
  mount --bind "$files/hosts" /etc/hosts
  rm -r "$files"
}
setup >/dev/null 2>&1 || exit 77
exec "$@"
