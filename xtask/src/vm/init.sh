#!/bin/busybox sh
# The first process of a test machine: loads the modules, runs the tests, says how that went, and
# ends the machine. xtask/src/vm/verdict.rs reads the lines that begin with "vm: ".
/bin/busybox --install -s /bin
export PATH=/sbin:/bin HOME=/
say() { echo; echo "vm: $*"; }
now() { cut -d' ' -f1 /proc/uptime; }

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /tmp /run /var
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
# Where `ip netns` keeps names, by an old path.
ln -s /run /var/run
if grep -q vm.probe /proc/cmdline; then
    say "booted $(now)"
    poweroff -f
fi
# Modules of tunnels would put a device into every network namespace.
echo 2 > /proc/sys/net/core/fb_tunnels_only_for_init_net
for module in $(cat /modules/order); do
    insmod "/modules/$module.ko" || say "note: cannot load the module $module"
done
ip link set lo up
. /settings

say "booted $(now)"
say "release $(uname -r)"
for program in $PROGRAMS; do
    "/tests/$program" "$@" </dev/null
    say "ended $program status $?"
done
tainted=$(cat /proc/sys/kernel/tainted)
[ "$tainted" = 0 ] || say "note: the kernel is tainted ($tainted)"
say "done $(now)"
poweroff -f
