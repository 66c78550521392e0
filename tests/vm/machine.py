"""A whole machine (qemu) that runs a Debian, can be asked, and can lose its power."""

from __future__ import annotations

import functools
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from tests.vm.agent import Agent, NoAnswerError
from tests.vm.disk import BLOCK_BYTES
from tests.vm.image import Image

KVM = Path("/dev/kvm")
KVM_PROBE_S = 20.0
BOOT_TIMEOUT_S = 600.0
COMMAND_TIMEOUT_S = 1800.0
STOP_TIMEOUT_S = 120.0
POLL_S = 0.2
ACCELERATION_VARIABLE = "SITEWATCH_QEMU"

PROGRAMS = {
    "arm64": ("qemu-system-aarch64", "-machine", "virt"),
    "amd64": ("qemu-system-x86_64", "-machine", "q35"),
}
PROCESSORS = {
    ("arm64", "tcg"): "cortex-a72",  # a Raspberry Pi 4's
    # AVX2 as qemu 7.2 emulates it ends numpy with a segmentation fault.
    ("amd64", "tcg"): "Westmere",
}
REAL_PROCESSOR = "host"
CORES = 2
CONSOLES = {"arm64": "ttyAMA0", "amd64": "ttyS0"}

STATE = """\
ps afx | grep -v ']$'
systemctl list-jobs
journalctl -b --no-pager | grep -v qemu-ga | tail -n 60
"""
"""What may tell why a command does not end."""

Answer = TypeVar("Answer")


class MachineError(AssertionError):
    """A command in the machine failed, or the machine itself; the text has what was said."""


@dataclass(frozen=True)
class Hardware:
    """What a machine is made of.

    Attributes:
        image: what it boots.
        architecture: as Debian names it.
        memory_mb: in 2^20 bytes.
        media: another disk, to be read only.
    """

    image: Image
    architecture: str
    memory_mb: int
    media: Path


@functools.cache
def acceleration(architecture: str, kernel: Path) -> str:
    """``kvm`` where that runs Debian's kernel, otherwise ``tcg``: everything is emulated.

    A /dev/kvm alone says little: some clouds have one for kernels made for them alone. Asked by
    booting without a disk, of which a kernel dies within seconds. ``SITEWATCH_QEMU`` decides, too.
    """
    if named := os.environ.get(ACCELERATION_VARIABLE):
        return named
    own = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
    )
    if own.stdout.strip() != architecture or not os.access(KVM, os.W_OK):
        return "tcg"
    command = [
        *(
            *PROGRAMS[architecture],
            "-accel",
            "kvm",
            "-cpu",
            REAL_PROCESSOR,
            "-m",
            "256",
            "-display",
            "none",
        ),
        *("-no-reboot", "-kernel", str(kernel), "-append", "panic=-1"),
    ]
    try:
        done = subprocess.run(command, capture_output=True, timeout=KVM_PROBE_S, check=False)
    except subprocess.TimeoutExpired:
        return "tcg"
    return "kvm" if done.returncode == 0 else "tcg"


class Machine:
    """A machine. Use as a context, which pulls the plug in the end.

    Args:
        hardware: what it is made of.
        drive: qemu's options of its disk.
        folder: for sockets and the console's log.
    """

    def __init__(self, hardware: Hardware, drive: str, folder: Path) -> None:
        self._hardware = hardware
        self._drive = drive
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._agent: Agent | None = None

    def __enter__(self) -> Self:
        try:
            self.boot()
        except BaseException:
            self.cut()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cut()

    def boot(self) -> float:
        """Switches it on, and waits until it answers.

        Returns:
            Seconds that took.

        Raises:
            MachineError: it does not come up.
        """
        began_s = time.monotonic()
        self._folder.mkdir(parents=True, exist_ok=True)
        socket = self._folder / "agent"
        socket.unlink(missing_ok=True)
        hardware, image = self._hardware, self._hardware.image
        mode = acceleration(hardware.architecture, image.kernel)
        sector = f"logical_block_size={BLOCK_BYTES},physical_block_size={BLOCK_BYTES}"
        command = [
            *(*PROGRAMS[hardware.architecture], "-accel", mode, "-smp", str(CORES), "-cpu"),
            PROCESSORS.get((hardware.architecture, mode), REAL_PROCESSOR),
            *("-m", str(hardware.memory_mb), "-nodefaults", "-no-reboot", "-display", "none"),
            *("-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append"),
            f"root=/dev/vda rw console={CONSOLES[hardware.architecture]} panic=-1",
            *("-serial", f"file:{self._folder}/console.log"),
            *("-drive", f"{self._drive},if=none,id=disk"),
            *("-device", f"virtio-blk-pci,drive=disk,{sector}"),
            *("-drive", f"file={hardware.media},format=raw,readonly=on,if=none,id=media"),
            *("-device", "virtio-blk-pci,drive=media"),
            *("-device", "virtio-serial-pci"),
            *("-chardev", f"socket,path={socket},server=on,wait=off,id=agent"),
            *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
            *("-object", "rng-random,filename=/dev/urandom,id=rng"),
            *("-device", "virtio-rng-pci,rng=rng"),
        ]
        with (self._folder / "qemu.log").open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.eventually(socket.is_socket, BOOT_TIMEOUT_S, "qemu does not start")
        self._agent = Agent(socket)
        self.eventually(self._agent.is_there, BOOT_TIMEOUT_S, "it does not boot")
        self.run("mount -o ro /dev/vdb /mnt")
        return time.monotonic() - began_s

    def cut(self) -> None:
        """Pulls the plug."""
        if self._agent is not None:
            self._agent.close()
            self._agent = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def shut_down(self) -> None:
        """Switches it off in good order.

        Raises:
            MachineError: it does not go off.
        """
        assert self._process is not None
        self.start("systemctl poweroff")
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise MachineError(f"it does not go off\n{self._console()}") from error
        self.cut()

    def run(
        self, command: str, *, check: bool = True, timeout_s: float = COMMAND_TIMEOUT_S
    ) -> subprocess.CompletedProcess[str]:
        """Runs a shell command in it, as root.

        Raises:
            MachineError: it failed, or the machine has gone.
        """
        assert self._agent is not None
        try:
            done = self._agent.run(command, timeout_s=timeout_s)
        except NoAnswerError as error:
            raise MachineError(f"{command}: {error}\n{self._console()}") from error
        except subprocess.TimeoutExpired as error:
            state = self._agent.run(STATE, timeout_s=COMMAND_TIMEOUT_S).stdout
            raise MachineError(f"{command}: not done after {timeout_s} s\n{state}") from error
        if check and done.returncode != 0:
            raise MachineError(f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def start(self, command: str) -> None:
        """Starts a shell command in it, as root, and leaves it alone."""
        assert self._agent is not None
        self._agent.start(command)

    def write(self, path: str, text: str) -> None:
        """Writes a file in it."""
        self.run(f"mkdir -p $(dirname {path}); cat >{path} <<'END_OF_FILE'\n{text}END_OF_FILE")

    def eventually(self, ask: Callable[[], Answer | None], timeout_s: float, what: str) -> Answer:
        """Asks until there is an answer that is true, and gives it.

        Raises:
            MachineError: there was none in time, or the machine has gone.
        """
        until_s = time.monotonic() + timeout_s
        while time.monotonic() < until_s:
            if answer := ask():
                return answer
            if self._process is None or self._process.poll() is not None:
                break
            time.sleep(POLL_S)
        raise MachineError(f"{what}\n{self._console()}")

    def _console(self) -> str:
        logs = (self._folder / name for name in ("qemu.log", "console.log"))
        return "\n".join(log.read_text(errors="replace")[-3000:] for log in logs if log.exists())
