"""The power goes in the middle of updates, at accidental moments; then the machine boots again.

The disk has a volatile write cache (:mod:`tests.vm.disk`), of which a part is lost. After each cut
must hold, with no hand laid on:

- it boots, and the camera watches, without a restart of the daemon;
- ``status --json`` answers, ``verify`` finds every release whole, a model on probation gets its
  verdict, and the one that runs is committed: the old or the new one;
- the outbox is whole;
- the same update again succeeds.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path

from tests.vm import media
from tests.vm.camera import APT, Camera
from tests.vm.disk import DiskServer
from tests.vm.machine import Machine, MachineError

MEMORY_MB = 1024
KEPT = (0.0, 0.5, 1.0)
"""Parts of the cache that survive: none, half of the blocks, all (as if only qemu was killed)."""
LATEST = 0.97
"""Share of an undisturbed update's time within which the power goes, so that it has not ended."""

DAMAGED_OUTBOX = "/var/lib/sitewatch/outbox/*.damaged-*"
"""The daemon checks its outbox at each start; it moves a damaged one aside."""


@dataclass(frozen=True)
class Moment:
    """When the power goes, after an update's start.

    Attributes:
        after_s: seconds.
        after_writes: requests to write, as the disk counts them; 0: by time.
        kept: share of the disk's cache that survives.
    """

    after_s: float
    after_writes: int
    kept: float

    def __str__(self) -> str:
        when = f"write {self.after_writes}" if self.after_writes else f"{self.after_s:.1f} s"
        return f"{when}, {self.kept:.0%} of the cache kept"


@dataclass(frozen=True)
class Undisturbed:
    """How long an update takes when nothing happens."""

    seconds: float
    writes: int

    def moment(self, chance: random.Random, number: int) -> Moment:
        """Accidental: by turns in time, and in what is written, where there is more to break."""
        after_s = chance.uniform(0, LATEST * self.seconds)
        after_writes = chance.randint(1, self.writes) if number % 2 else 0
        return Moment(after_s, after_writes, chance.choice(KEPT))


class PowerCuts:
    """Cuts the power of one machine again and again.

    Args:
        machine: with the disk of the server.
        server: of the disk.
        chance: for all that is accidental.
    """

    def __init__(self, machine: Machine, server: DiskServer, chance: random.Random) -> None:
        self._machine = machine
        self._camera = Camera(machine)
        self._server = server
        self._chance = chance

    def prepare(self) -> None:
        """Installs the package and a first model, and lets nginx serve the others."""
        took_s = self._camera.install()
        print(f"package installed, first frame after {took_s:.0f} s", flush=True)
        self._machine.run(f"ln -s {media.MODELS} /var/www/html/; systemctl enable --now nginx")
        self._camera.expect_installed(media.model(1), media.version(1), "--offline")

    def measure_model(self) -> Undisturbed:
        """Updates to model 2, undisturbed."""
        writes = self._server.disk.writes
        seconds = self._camera.expect_installed(_url(2), media.version(2))
        return self._told(Undisturbed(seconds, self._server.disk.writes - writes))

    def measure_package(self) -> Undisturbed:
        """Upgrades the package, undisturbed, and goes back."""
        writes, began_s = self._server.disk.writes, time.monotonic()
        self._machine.run(APT + media.NEWER_DEB)
        seconds = time.monotonic() - began_s
        found = Undisturbed(seconds, self._server.disk.writes - writes)
        self._machine.run(f"{APT} --allow-downgrades {media.DEB}")
        return self._told(found)

    def cut_model(self, number: int, moment: Moment) -> None:
        """Cuts the power in the update to a model, from the one before it.

        Raises:
            MachineError: something does not hold afterwards.
        """
        source = self._chance.choice((media.model(number), _url(number)))
        self._cut(f"sitewatch-update install {source}", moment)
        verdict = self._camera.wait_for_verdict()
        running = self._camera.expect(media.version(number - 1), media.version(number))
        print(f"  runs {running}; {verdict or 'nothing was on probation'}", flush=True)
        self._camera.expect_installed(source, media.version(number))

    def cut_package(self, moment: Moment, model: str) -> None:
        """Cuts the power in an upgrade of the package, and then finishes it and goes back.

        Raises:
            MachineError: something does not hold afterwards.
        """
        self._cut(APT + media.NEWER_DEB, moment)
        self._camera.expect(model)
        mended = self._machine.run("dpkg --force-confold --configure -a", check=False)
        said = mended.stderr.strip().partition("\n")[0]
        print(f"  dpkg --configure -a: {mended.returncode} {said}", flush=True)
        self._machine.run(f"dpkg --force-confold --install {media.NEWER_DEB}")
        self._camera.wait_until_it_watches()
        self._camera.expect(model)
        self._machine.run(f"{APT} --allow-downgrades {media.DEB}")

    def _cut(self, command: str, moment: Moment) -> None:
        """Cuts the power in a command, and boots again."""
        print(f"{command.rpartition(' ')[2]}: at {moment}", flush=True)
        if moment.after_writes:
            self._server.stop_after(moment.after_writes)
            self._machine.start(command)
            # What an update writes varies a little: no later than in time, then.
            self._server.stopped.wait(moment.after_s + 60)
        else:
            self._machine.start(command)
            time.sleep(moment.after_s)
        self._machine.cut()
        lost = self._server.lose_power(self._chance, moment.kept)
        booted_s = self._machine.boot()
        self._camera.wait_until_it_watches()
        said = self._camera.recovered()
        print(f"  {lost} blocks lost; boots in {booted_s:.0f} s; {said}", flush=True)
        if self._machine.run(f"ls {DAMAGED_OUTBOX}", check=False).returncode == 0:
            raise MachineError(f"the outbox was damaged\n{self._camera.journal()}")

    def _told(self, found: Undisturbed) -> Undisturbed:
        print(f"undisturbed: {found.seconds:.0f} s, {found.writes} writes", flush=True)
        return found


def run(machine: Machine, server: DiskServer, *, seed: int, models: int, packages: int) -> None:
    """All cuts.

    Args:
        machine: off, with the disk of the server, and ``models + 2`` models on its media.
        server: of the disk.
        seed: of all that is accidental, but for what the load of this computer adds.
        models: cuts in updates of the model.
        packages: cuts in upgrades of the package.

    Raises:
        MachineError: something does not hold after one.
    """
    chance = random.Random(seed)
    print(f"seed {seed}", flush=True)
    with machine:
        cuts = PowerCuts(machine, server, chance)
        cuts.prepare()
        if models:
            undisturbed = cuts.measure_model()
        for number in range(models):
            cuts.cut_model(number + 3, undisturbed.moment(chance, number))
        if packages:
            undisturbed = cuts.measure_package()
        last = media.version(models + 2 if models else 1)
        for number in range(packages):
            cuts.cut_package(undisturbed.moment(chance, number), last)
        machine.shut_down()
    print(f"{models + packages} of {models + packages} power cuts survived", flush=True)


def _url(number: int) -> str:
    return f"http://127.0.0.1/models/{Path(media.model(number)).name}"
