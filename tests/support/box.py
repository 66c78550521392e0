"""A Debian with systemd as its first process, thrown away afterwards (systemd-nspawn).

Its tree is an overlay over a kept one, in memory; its network is its own, without a way out but a
cable to this machine where one was asked for.
Nothing is registered or left mounted on the host, however a test ends.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

from tests.support.cable import Cable

CGROUPS = Path("/sys/fs/cgroup")
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "DEBIAN_FRONTEND": "noninteractive",
}
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
COMMAND_TIMEOUT_S = 120.0
CGROUP_TIMEOUT_S = 5.0
POLL_S = 0.05
REBOOTED = 133
"""What systemd-nspawn --keep-unit ends with when it wants to be started anew."""
UNIFIED = "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1"
"""Cgroups as Debian has them, whatever this machine has."""
AS_A_MACHINE = "--capability=all --system-call-filter=@known"
"""Nothing is refused in the box but what its own systemd refuses: so DevicePolicy= works there, and
tests of units do not find nspawn's own bars in the place of theirs."""

Answer = TypeVar("Answer")


class BoxError(AssertionError):
    """A command in the box failed, or the box itself; the text has what was said."""


def obstacle() -> str:
    """Why no box can be started here; "" where one can."""
    if os.geteuid() != 0:
        return "booting a Debian takes root"
    for command in ("systemd-nspawn", "nsenter", "unshare", "ip"):
        if shutil.which(command) is None:
            packages = "systemd-container util-linux iproute2"
            return f"{command} is not installed (apt-get install {packages})"
    return ""


class Box:
    """One booted Debian. Use as a context.

    Args:
        tree: to be booted; it stays as it is.
        folder: for the box's own files on the host.
        memory_bytes: of the file system that takes what the box writes.
        cable: to this machine; None: no network at all.
    """

    def __init__(
        self, tree: Path, folder: Path, *, memory_bytes: int = 2 << 30, cable: Cable | None = None
    ) -> None:
        self._tree = tree
        self._cable = cable
        self._folder = folder
        self._memory_bytes = memory_bytes
        self._name = f"box-{uuid.uuid4().hex[:8]}"
        self._process: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self.boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._process is not None:
            self._end(self._process)
        # The last processes may take a moment to be gone; until then their cgroup is busy.
        until_s = time.monotonic() + CGROUP_TIMEOUT_S
        while not all(map(_removed, self._cgroups())):
            if time.monotonic() > until_s:
                break
            time.sleep(POLL_S)

    @property
    def root(self) -> Path:
        """The box's tree, as the host sees it."""
        return Path(f"/proc/{self._leader}/root")

    def boot(self) -> None:
        """Starts it, and waits until systemd has started all it wants.

        Raises:
            BoxError: it does not come up.
        """
        mount = self._folder / "mount"
        mount.mkdir(exist_ok=True)
        for cgroup in self._cgroups():
            cgroup.mkdir(exist_ok=True)
        namespace = mount / "network"
        lay = self._cable.lay(namespace) if self._cable else ""
        network = f"--network-namespace-path={namespace}" if self._cable else "--private-network"
        # A cgroup of its own, or two boxes would manage the same one; mounts of its own, so that
        # they go with the last process.
        script = f"""
            set -e
            for each in {" ".join(map(str, self._cgroups()))}; do echo $$ >$each/cgroup.procs; done
            mount -t tmpfs -o size={self._memory_bytes},mode=755 tmpfs {mount}
            mkdir {mount}/upper {mount}/work {mount}/root
            mount -t overlay overlay {mount}/root -o \
                lowerdir={self._tree},upperdir={mount}/upper,workdir={mount}/work
            {lay}
            code={REBOOTED}
            while [ $code = {REBOOTED} ]; do
                code=0
                {UNIFIED} systemd-nspawn --quiet --directory={mount}/root --boot \
                    --machine={self._name} {AS_A_MACHINE} {network} \
                    --register=no --keep-unit --console=read-only \
                    --resolv-conf=off --timezone=off --link-journal=no || code=$?
            done
        """
        with (self._folder / "console.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "bash", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._leader = self.eventually(self._find_leader, START_TIMEOUT_S, "it does not boot")
        self.eventually(
            (self.root / "run/systemd/private").is_socket, START_TIMEOUT_S, "no systemd"
        )
        self.run("systemctl is-system-running --wait", check=False)

    def run(
        self, command: str, *, check: bool = True, timeout_s: float = COMMAND_TIMEOUT_S
    ) -> subprocess.CompletedProcess[str]:
        """Runs a shell command in it, as root.

        Raises:
            BoxError: it failed.
        """
        done = subprocess.run(
            [*self._enter(), "bash", "-c", command],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode != 0:
            raise BoxError(f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def start(self, command: str) -> subprocess.Popen[str]:
        """Starts a shell command in it, as root; its output is in ``stdout``, both kinds."""
        return subprocess.Popen(
            [*self._enter(), "bash", "-c", command],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def put(self, source: Path, target: str) -> None:
        """Copies a file or folder into it."""
        destination = self.root / target.lstrip("/")
        destination.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, destination)
        else:
            shutil.copyfile(source, destination)

    def write(self, target: str, text: str, mode: int = 0o644) -> None:
        """Writes a file in it."""
        path = self.root / target.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def reboot(self) -> None:
        """Reboots it, as ``systemctl reboot`` does; what it wrote stays.

        Raises:
            BoxError: it does not come up again.
        """
        old = self._leader
        self.run("systemctl reboot", check=False)

        def new_leader() -> int | None:
            found = self._find_leader()
            return found if found != old else None

        self._leader = self.eventually(new_leader, START_TIMEOUT_S, "it does not boot again")
        self.eventually(
            (self.root / "run/systemd/private").is_socket, START_TIMEOUT_S, "no systemd"
        )
        self.run("systemctl is-system-running --wait", check=False)

    def property(self, unit: str, name: str) -> str:
        """A unit's property, as ``systemctl show`` has it."""
        return self.run(f"systemctl show -P {shlex.quote(name)} {shlex.quote(unit)}").stdout.strip()

    def journal(self, unit: str) -> str:
        """What a unit has logged."""
        return self.run(f"journalctl -o cat --no-pager -u {shlex.quote(unit)}").stdout

    def eventually(self, ask: Callable[[], Answer | None], timeout_s: float, what: str) -> Answer:
        """Asks until there is an answer that is true, and gives it.

        Raises:
            BoxError: there was none in time, or the box has ended.
        """
        until_s = time.monotonic() + timeout_s
        while time.monotonic() < until_s:
            if answer := ask():
                return answer
            if self._process is None or self._process.poll() is not None:
                break
            time.sleep(POLL_S)
        console = (self._folder / "console.log").read_text(errors="replace")
        raise BoxError(f"{what}\n{console[-2000:]}")

    def _enter(self) -> list[str]:
        return [
            *("nsenter", f"--target={self._leader}", "--mount", "--uts", "--ipc", "--net"),
            *("--pid", "--cgroup", "--root", "--wd"),
        ]

    def _find_leader(self) -> int | None:
        """The box's first process, once that is systemd; nspawn's only child."""
        assert self._process is not None
        for nspawn in _children(self._process.pid):
            for pid in _children(nspawn):
                if _name(pid) == "systemd":
                    return pid
        return None

    def _cgroups(self) -> list[Path]:
        """Those that systemd manages: one on a host with cgroups v2, two where v1 is beside it."""
        found = [CGROUPS / name for name in ("systemd", "unified") if (CGROUPS / name).is_dir()]
        return [each / self._name for each in found or [CGROUPS]]

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        for nspawn in _children(process.pid):
            os.kill(nspawn, signal.SIGTERM)  # an orderly shut-down
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._leader, signal.SIGKILL)
            process.kill()
            process.wait()


def _removed(cgroup: Path) -> bool:
    """Removes a cgroup and those below it, where they are empty; says whether it is gone."""
    for folder in (*sorted(cgroup.rglob("*/"), reverse=True), cgroup):
        with contextlib.suppress(OSError):
            folder.rmdir()
    return not cgroup.exists()


def _children(pid: int) -> list[int]:
    """A process's children; none where it has just ended."""
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _name(pid: int) -> str:
    """A process's name; "" where it has just ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
