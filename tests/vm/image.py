"""Disks with a Debian on them that qemu can boot; made once for a release, then kept."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support import rootfs

DISK_BYTES = 3 << 30
MAKE_TIMEOUT_S = 3600

IN_A_MACHINE = ("initramfs-tools", "kmod", "e2fsprogs", "qemu-guest-agent", "iproute2")
DRIVERS = ("virtio_pci", "virtio_blk", "ext4")

FOREIGN = {"arm64": "/usr/lib/binfmt.d/qemu-aarch64.conf"}
BINFMT = Path("/proc/sys/fs/binfmt_misc")
MAKE_FOREIGN = """
    mountpoint -q {binfmt} || mount -t binfmt_misc binfmt_misc {binfmt}
    if [ ! -e {entry} ]; then
        cat {line} >{binfmt}/register
        trap 'echo -1 >{entry}' EXIT
    fi
    "$@"
"""
"""Programs of another processor run, by qemu, as long as the image is made and no longer."""


@dataclass(frozen=True)
class Image:
    """What a machine boots.

    Attributes:
        disk: ext4, without a partition table; never to be written to.
        kernel: Debian's for virtual machines.
        initrd: for it.
    """

    disk: Path
    kernel: Path
    initrd: Path


def debian(suite: str, architecture: str) -> Image:
    """A Debian release with what our package depends on.

    Raises:
        MissingError: this machine lacks what it takes to make it.
        subprocess.CalledProcessError: making it failed.
    """
    packages = (
        *(*rootfs.SYSTEM, "python3", *rootfs.dependencies(), *rootfs.TESTED_WITH),
        *(*IN_A_MACHINE, f"linux-image-cloud-{architecture}"),
    )
    stamp = hashlib.sha256(f"{DISK_BYTES} {DRIVERS} {packages}".encode()).hexdigest()
    folder = rootfs.cache() / f"vm-{suite}-{architecture}"
    image = Image(folder / "disk", folder / "vmlinuz", folder / "initrd")
    stamp_file = folder / "stamp"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp_file.is_file() and stamp_file.read_text() == stamp:
            return image
        _check_tools(architecture)
        stamp_file.unlink(missing_ok=True)
        print(f"making a disk with {suite}, {architecture} (some minutes)", flush=True)
        _make(suite, architecture, packages, image)
        stamp_file.write_text(stamp)
    return image


def _check_tools(architecture: str) -> None:
    missing = [name for name in ("mmdebstrap", "mke2fs") if shutil.which(name) is None]
    if _is_foreign(architecture) and not Path(FOREIGN[architecture]).is_file():
        missing.append("qemu-user-static")
    if os.geteuid() != 0:
        missing.append("root's rights")
    if missing:
        raise rootfs.MissingError(f"making a disk takes {' and '.join(missing)}")


def _is_foreign(architecture: str) -> bool:
    own = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
    )
    return own.stdout.strip() != architecture


def _make(suite: str, architecture: str, packages: tuple[str, ...], image: Image) -> None:
    tree = image.disk.with_name("tree")
    shutil.rmtree(tree, ignore_errors=True)
    modules = "\\n".join(DRIVERS)
    settings = "$1/etc/initramfs-tools"
    command = [
        *("mmdebstrap", "--mode=root", "--variant=minbase", f"--architectures={architecture}"),
        *(f"--include={','.join(packages)}", "--format=directory", "--skip=output/dev"),
        '--aptopt=Acquire::Languages "none"',
        '--aptopt=APT::Install-Recommends "false"',
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "locale", "doc")),
        # On the host alone: power cuts in the machine must meet dpkg as it is.
        "--essential-hook=echo force-unsafe-io >$1/etc/dpkg/dpkg.cfg.d/unsafe",
        "--customize-hook=rm $1/etc/dpkg/dpkg.cfg.d/unsafe",
        f"--essential-hook=mkdir -p {settings}/conf.d; printf '{modules}\\n' >{settings}/modules",
        f"--essential-hook=echo MODULES=list >{settings}/conf.d/only-these",
        "--customize-hook=chroot $1 systemctl --quiet disable mosquitto nginx",
        "--customize-hook=: >$1/etc/machine-id; echo camera >$1/etc/hostname",
        "--customize-hook=echo '/dev/vda / ext4 defaults 0 1' >$1/etc/fstab",
        *(suite, str(tree)),
    ]
    if _is_foreign(architecture):
        entry = BINFMT / Path(FOREIGN[architecture]).stem
        script = MAKE_FOREIGN.format(binfmt=BINFMT, entry=entry, line=FOREIGN[architecture])
        command = ["unshare", "--mount", "bash", "-ec", script, "bash", *command]
    subprocess.run(command, check=True, timeout=MAKE_TIMEOUT_S, stdout=subprocess.DEVNULL)
    for made, kept in (("vmlinuz", image.kernel), ("initrd.img", image.initrd)):
        shutil.copyfile(next((tree / "boot").glob(f"{made}-*")), kept)
    image.disk.unlink(missing_ok=True)
    format_disk(image.disk, tree, DISK_BYTES)
    shutil.rmtree(tree)


def format_disk(disk: Path, tree: Path, size_bytes: int) -> None:
    """Makes a file into an ext4 file system with a copy of a tree on it."""
    with disk.open("wb") as file:
        file.truncate(size_bytes)
    subprocess.run(
        ["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-d", str(tree), str(disk)],
        check=True,
        timeout=MAKE_TIMEOUT_S,
    )
