"""Little memory: the limit of the camera's unit holds, and 512 MB are enough for an update."""

from __future__ import annotations

from tests.vm import media
from tests.vm.camera import UNIT, WORK_TIMEOUT_S, Camera
from tests.vm.machine import Machine, MachineError

SMALL_MB, USUAL_MB = 512, 1024
LIMIT_BYTES = 400 << 20
MODELS = 1

CGROUP = f"/sys/fs/cgroup/system.slice/{UNIT}"
GLUTTON = """\
[Service]
Type=exec
ExecStart=
ExecStart=/usr/bin/python3 -c "bytearray(b'x' * (600 << 20))"
Restart=no
"""
WATCHED = """\
unit=$(systemd-escape --template=sitewatch-update@.service {source})
systemctl start --no-block $unit
sleep 0.5
least=$(awk '/MemAvailable/ {{ print $2 }}' /proc/meminfo)
while [ "$(systemctl show -P ActiveState $unit)" = activating ]; do
    now=$(cat /sys/fs/cgroup/system.slice/system-sitewatch*update.slice/$unit/memory.peak \
        2>/dev/null) && peak=$now
    now=$(awk '/MemAvailable/ {{ print $2 }}' /proc/meminfo)
    [ "$now" -ge "$least" ] || least=$now
    sleep 0.5
done
systemctl show -P Result $unit
echo $((peak >> 20)) $((least >> 10))
"""
"""Installs a model as a unit; its result, its greatest memory, the machine's least free (2^20)."""


def run_limited(machine: Machine) -> None:
    """What takes more than the limit in the camera's unit is ended, and nothing else is.

    Raises:
        MachineError: not so.
    """
    with machine:
        camera = Camera(machine)
        camera.install()
        limit = machine.run(f"cat {CGROUP}/memory.max").stdout.strip()
        if int(limit) != LIMIT_BYTES:
            raise MachineError(f"memory.max is {limit}")
        drop_in = f"/run/systemd/system/{UNIT}.d/zz-glutton.conf"
        machine.write(drop_in, GLUTTON)
        machine.run(f"systemctl daemon-reload; systemctl restart {UNIT}", check=False)
        machine.eventually(
            lambda: camera.property("Result") == "oom-kill", WORK_TIMEOUT_S, "it is not ended"
        )
        said = machine.run("dmesg | grep -c 'Memory cgroup out of memory'").stdout.strip()
        print(f"limit {LIMIT_BYTES >> 20} MB; 600 MB in the unit: oom-kill ({said})", flush=True)
        machine.run(f"rm {drop_in}; systemctl daemon-reload; systemctl restart {UNIT}")
        camera.wait_until_it_watches()


def run_small(machine: Machine) -> None:
    """The camera watches and a model is installed, and memory suffices.

    Raises:
        MachineError: not so.
    """
    with machine:
        camera = Camera(machine)
        camera.install()
        print(f"watching: {_peak_mb(machine)} MB at most; {_free(machine)}", flush=True)
        script = WATCHED.format(source=media.model(1))
        result, figures = machine.run(script, timeout_s=WORK_TIMEOUT_S).stdout.splitlines()
        if result != "success":
            raise MachineError(f"{result}\n{camera.journal()}")
        camera.expect(media.version(1))
        peak_mb, least_mb = figures.split()
        print(f"update: {peak_mb} MB at most, camera {_peak_mb(machine)} MB meanwhile; "
              f"{least_mb} MB available at least", flush=True)  # fmt: skip
        events = machine.run(f"grep -h oom {CGROUP}/memory.events").stdout.split()
        killed = machine.run("dmesg | grep -ci 'out of memory'", check=False).stdout.strip()
        if any(map(int, events[1::2])) or killed != "0":
            raise MachineError(f"out of memory: {events}, {killed}")
        camera.wait_until_it_watches()
        print("no process was ended for want of memory", flush=True)
        machine.shut_down()


def _peak_mb(machine: Machine) -> int:
    return int(machine.run(f"cat {CGROUP}/memory.peak").stdout) >> 20


def _free(machine: Machine) -> str:
    total, available = machine.run("free -m | awk '/^Mem:/ { print $2, $7 }'").stdout.split()
    return f"{available} of {total} MB available"
