#!/bin/sh
# Installs, checks, starts, ends, removes and (deb) purges the packages in a fresh root, and sees what they leave behind.
#
#   packaging/try-install.sh deb|rpm [DIRECTORY]     with the packages; without it packaging/build makes them
#
# Needs root and debootstrap. SUITE (bookworm) and MIRROR choose the fresh root; ports are left to the kernel. The root is
# Debian's for RPM packages too, with rpm in it: their files and scripts are tried, their dependencies on packages are not.
set -eu
cd "$(dirname "$0")/.."

[ "$(id -u)" = 0 ] || { echo "try-install: needs root" >&2; exit 64; }
command -v debootstrap >/dev/null || { echo "try-install: needs debootstrap" >&2; exit 69; }
kind=${1:-}
case $kind in
  deb | rpm) shift ;;
  *) echo "try-install: say deb or rpm" >&2; exit 64 ;;
esac
suite=${SUITE:-bookworm}
mirror=${MIRROR:-http://deb.debian.org/debian}
if [ $# -ge 1 ]; then
  packages=$1
else
  packaging/build "$kind"
  packages=${CARGO_TARGET_DIR:-target}/packages
fi

root=$(mktemp -d /tmp/spectrum-root.XXXXXX)
# It is the root of a system: its users must be able to enter it.
chmod 755 "$root"
child=
finish() {
  code=$?
  [ -z "$child" ] || kill "$child" 2>/dev/null || true
  umount "$root/proc" 2>/dev/null || true
  rm -rf --one-file-system "$root"
  [ $code = 0 ] || echo "try-install: FAILED" >&2
  exit $code
}
trap finish EXIT
trap 'exit 1' INT TERM

say() { echo "try-install: $*"; }
inside() { chroot "$root" "$@"; }
fail() { echo "try-install: $*" >&2; exit 1; }

say "a fresh root ($suite)"
debootstrap --variant=minbase "$suite" "$root" "$mirror" >/dev/null
mount -t proc proc "$root/proc"
# No daemon may start in a root without an init.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod +x "$root/usr/sbin/policy-rc.d"

say "install"
mkdir "$root/packages"
apt() { inside env DEBIAN_FRONTEND=noninteractive apt-get "$@" >/dev/null; }
case $kind in
  deb)
    cp "$packages"/spectrum-transport_*.deb "$root/packages/transport.deb"
    cp "$packages"/spectrum-irc_*.deb "$root/packages/irc.deb"
    cp "$packages"/spectrum-xmpp_*.deb "$root/packages/xmpp.deb"
    apt install -y --no-install-recommends /packages/transport.deb /packages/irc.deb /packages/xmpp.deb
    ;;
  rpm)
    cp "$packages"/spectrum-transport-*.rpm "$packages"/spectrum-irc-*.rpm "$packages"/spectrum-xmpp-*.rpm "$root/packages/"
    apt install -y --no-install-recommends rpm systemd-standalone-tmpfiles ca-certificates
    inside sh -c 'rpm --install --nodeps /packages/*.rpm'
    ;;
esac
inside getent passwd spectrum2
for directory in /run/spectrum2 /var/lib/spectrum2 /var/log/spectrum2 /etc/spectrum2/transports; do
  inside stat -c '%A %U %n' "$directory"
done
say "check the samples"
samples=/usr/share/doc/spectrum-transport/examples
for sample in gateway-irc server-irc gateway-xmpp gateway-spectrum2; do
  inside "spectrum-${sample%%-*}" check "$samples/$sample.toml" >/dev/null || fail "$sample is not accepted"
done

# start NAME BINARY ARGUMENT...: runs an instance from a sample until it answers, then ends it.
start() {
  name=$1 binary=$2
  shift 2
  inside install -m 640 -o root -g spectrum2 "$samples/$name.toml" "/etc/spectrum2/transports/$name.toml"
  # Not through a function: that would be a subshell, and the signal below would reach it instead of the instance.
  chroot --userspec=spectrum2:spectrum2 "$root" env PATH=/usr/bin:/bin /usr/lib/spectrum/spectrum-launch "$name" "$@" &
  child=$!
  tries=0
  until inside "$binary" status "$name" 2>/dev/null; do
    kill -0 "$child" 2>/dev/null || fail "$name ended at once"
    tries=$((tries + 1))
    [ $tries -lt 100 ] || fail "$name does not answer"
    sleep 0.1
  done
  kill -TERM "$child"
  wait "$child" || fail "$name ended with $?"
  child=
}

say "start and end, gateway mode"
start gateway-irc spectrum-gateway
start gateway-xmpp spectrum-gateway
say "start and end, server mode"
start server-irc spectrum-server --set server.listen=127.0.0.1:0

say "remove"
case $kind in
  deb) apt remove -y spectrum-transport spectrum-irc spectrum-xmpp ;;
  rpm) inside rpm --erase --nodeps spectrum-transport spectrum-irc spectrum-xmpp ;;
esac
for gone in /usr/bin/spectrum-gateway /usr/bin/spectrum-server /usr/lib/spectrum /usr/lib/systemd/system/spectrum@.service; do
  [ ! -e "$root$gone" ] || fail "$gone is still there"
done
for kept in /etc/spectrum2/transports/gateway-irc.toml /var/lib/spectrum2; do
  [ -e "$root$kept" ] || fail "$kept is gone"
done
# left PATTERN: what is named after us and is not expected there.
left() {
  (cd "$root" && find . -xdev -path ./packages -prune -o -iname '*spectrum*' -print | grep -Ev "$1" || true)
}
rest=$(left '^\./(etc|var/lib|var/log|run)/spectrum2(/|$)|^\./etc/logrotate.d/spectrum-transport$|^\./var/lib/(dpkg|systemd)/')
[ -z "$rest" ] || fail "left behind: $rest"
if [ "$kind" = deb ]; then
  say "purge"
  [ -n "$(ls "$root"/var/lib/spectrum2/*/key)" ] || fail "there is no state to purge"
  apt purge -y spectrum-transport spectrum-irc spectrum-xmpp
  rest=$(left '^$')
  [ -z "$rest" ] || fail "left behind by a purge: $rest"
fi
say "all is well"
