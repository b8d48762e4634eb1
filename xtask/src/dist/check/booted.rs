//! The service: the package is installed in a Debian system that boots in a virtual machine, and systemd
//! starts it, reloads, kills, restarts and stops it, while somebody talks.

use std::{env, fs};

use anyhow::{Context as _, Result, ensure};

use super::{Products, passed};
use crate::{debian_root::Root, shell, vm::systemd};

/// As systemd rates services: 10 is one that may do everything.
const MAX_EXPOSURE: f32 = 1.5;

/// What the steps below say.
const WORDS: &str = r#"
journal() {
    journalctl --sync
    journalctl --unit tracer --output cat --no-pager "$@"
}
property() { systemctl show --property "$1" --value tracer; }
talk() { /srv/xtask talk "$1" "$2"; }
# How many messages with a word and a number the journal has from clients.
heard() { journal TRACER_EVENT=ws.message TRACER_FROM=client | grep -c "$1 [0-9]" || true; }
# So many, no more and no fewer. It takes a moment until they are written.
expect() {
    for second in $(seq 60); do
        if [ "$(heard "$1")" -ge "$2" ]; then break; fi
        sleep 1
    done
    sleep 1
    [ "$(heard "$1")" -eq "$2" ]
}
settings=/etc/tracer/tracer.toml
set_option() { sed -i "s|^#*$1 = .*|$1 = $2|" $settings; }
# Another process is ready than this one.
replaced() {
    until [ "$(property MainPID)" != "$1" ] && systemctl is-active tracer; do sleep 1; done
}
"#;

/// Each is a heading and what is done. Ready means attached: nothing that is said after that is missed.
const STEPS: [(&str, &str); 12] = [
    (
        "it starts, and says when it is ready",
        r#"
systemctl start tracer
property StatusText | grep '^tracing port 7272 on .*lo'
systemd-analyze security --no-pager tracer | grep 'Overall exposure'
cat /proc/$(property MainPID)/status | grep -E '^(Uid|Cap|NoNewPrivs|Seccomp)'
talk first 50
expect first 50
journalctl --unit tracer --output json --no-pager TRACER_EVENT=start | grep '"TRACER_PORTS"'
"#,
    ),
    (
        "the journal takes as many entries as the unit says",
        r#"
[ "$(readlink /run/systemd/units/log-rate-limit-burst:tracer.service)" -eq 1000000 ]
"#,
    ),
    (
        "it has figures for whoever asks on this host",
        r#"
bash -c 'exec 3<>/dev/tcp/127.0.0.1/9272
printf "GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n" >&3
grep "^tracer_messages_total{.*text" <&3'
"#,
    ),
    (
        "nothing is lost while it is reloaded, and it is the same process",
        r#"
pid=$(property MainPID)
talk across 1000 &
for port in 7373 7474 7575; do
    sleep 1
    set_option port "[7272, $port]"
    systemctl reload tracer
done
wait $!
expect across 1000
until [ "$(journal | grep -c '^reloaded: tracing port 7272,7')" -eq 3 ]; do sleep 1; done
[ "$(journal TRACER_EVENT=gap | wc -l)" -eq 0 ]
[ "$(property MainPID)" = "$pid" ]
"#,
    ),
    (
        "a wrong file is refused, and changes nothing",
        r#"
echo 'prot = 7272' >> $settings
if systemctl reload tracer; then exit 1; fi
journal | grep 'tracer.toml:[0-9]*: there is no option `prot`; is it `port`?'
sed -i '/^prot/d' $settings
[ "$(property MainPID)" = "$pid" ]
"#,
    ),
    (
        "a file of events is rotated by logrotate, and the parts are the whole",
        r#"
set_option output '["journald", "/var/log/tracer/events.jsonl"]'
systemctl reload tracer
until [ -e /var/log/tracer/events.jsonl ]; do sleep 1; done
talk rotated 1000 &
for time in first second; do
    sleep 1
    logrotate --force /etc/logrotate.d/tracer
done
wait $!
expect rotated 1000
ls /var/log/tracer
sleep 1
whole=$(zcat -f /var/log/tracer/* | grep '"ws.message"' | grep '"from":"client"')
[ "$(echo "$whole" | grep -c 'rotated [0-9]')" -eq 1000 ]
[ "$(ls /var/log/tracer | wc -l)" -eq 3 ]
"#,
    ),
    (
        "it is there again when it was killed",
        r#"
systemctl kill --signal=KILL tracer
replaced "$pid"
talk killed 20
expect killed 20
"#,
    ),
    (
        "it is restarted when it is stuck",
        r#"
mkdir --parents /etc/systemd/system/tracer.service.d
printf '[Service]\nWatchdogSec=12s\nTimeoutAbortSec=2s\n' > /etc/systemd/system/tracer.service.d/test.conf
systemctl daemon-reload
systemctl restart tracer
talk restarted 20
expect restarted 20
# Longer than the watchdog waits.
pid=$(property MainPID)
sleep 26
[ "$(property MainPID)" = "$pid" ]
kill -STOP "$pid"
replaced "$pid"
journal | grep 'Watchdog timeout'
talk stuck 20
expect stuck 20
"#,
    ),
    (
        "where it attaches by clsact, it keeps the capability for that",
        r#"
rm -r /etc/systemd/system/tracer.service.d
systemctl daemon-reload
set_option attach '"clsact"'
systemctl restart tracer
grep 'CapEff:.*0000000000001000' "/proc/$(property MainPID)/status"
talk clsact 20
expect clsact 20
set_option attach '"auto"'
"#,
    ),
    (
        "it stops in order",
        r#"
systemctl stop tracer
[ "$(property Result)" = success ]
journal TRACER_EVENT=stats | grep segments
"#,
    ),
    (
        "one that has seen nothing has not failed",
        r#"
systemctl start tracer
systemctl stop tracer
[ "$(property Result)" = success ]
"#,
    ),
    (
        "it is another process after an upgrade, and ends with the package",
        r#"
systemctl start tracer
pid=$(property MainPID)
dpkg --force-confold --install /srv/tracer.deb
replaced "$pid"
talk upgraded 20
expect upgraded 20
dpkg --remove tracer
if systemctl is-active tracer; then exit 1; fi
"#,
    ),
];

/// Of the process when it is ready. With TCX it keeps no capability (docs/security.md). What is in the bounding
/// set, without `CAP_SETPCAP`, stays there, and cannot be had without another program.
const STATUS: [&str; 5] = [
    "CapInh:\t0000000000000000",
    "CapPrm:\t0000000000000000",
    "CapEff:\t0000000000000000",
    "NoNewPrivs:\t1",
    "Seccomp:\t2",
];

pub(super) fn check(products: &Products) -> Result<()> {
    let root = Root::with(&systemd::PACKAGES)?.scratch()?;
    fs::copy(&products.package, root.outside("/srv/tracer.deb"))?;
    let us = env::current_exe().context("cannot tell where this program lies")?;
    fs::copy(us, root.outside("/srv/xtask"))?;
    shell::output(root.command("dpkg").args(["--install", "/srv/tracer.deb"]))?;
    let said = systemd::run(root.directory(), &script()).context("the service does not work")?;
    let exposure = exposure(&said).with_context(|| format!("systemd has no rating: {said}"))?;
    ensure!(
        exposure <= MAX_EXPOSURE,
        "systemd rates the service {exposure}, {MAX_EXPOSURE} at most"
    );
    for line in STATUS {
        ensure!(said.contains(line), "the service runs without `{line}`: {said}");
    }
    ensure!(!said.contains("Uid:\t0"), "the service runs as root: {said}");
    passed("the service is what it should be under systemd:")?;
    STEPS.iter().try_for_each(|(heading, _)| passed(&format!("  {heading}")))
}

/// All steps, in a shell that ends with the first failure.
fn script() -> String {
    let step = |(heading, commands): &(&str, &str)| format!("echo '# {heading}'{commands}");
    WORDS.to_owned() + &STEPS.iter().map(step).collect::<String>()
}

/// Of a line such as `→ Overall exposure level for tracer.service: 1.5 OK 🙂`.
fn exposure(said: &str) -> Option<f32> {
    let (_, rest) = said.split_once("Overall exposure level for tracer.service: ")?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::exposure;

    #[test]
    fn the_rating_is_read() {
        let said = "+ grep x\r\n→ Overall exposure level for tracer.service: 1.7 OK 🙂\r\n";
        assert_eq!(exposure(said), Some(1.7));
        assert_eq!(exposure("Overall exposure level for"), None);
    }
}
