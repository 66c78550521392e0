"""Installing a bundle of 30 MB from a web server: memory, and time against curl and unzip.

The model in the bundle is a tiny one, so that the self-test is little; the weight is a file beside
it that nothing compresses. The server is nginx, on this machine, with TLS and without; both ways to
get the bundle take turns.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import time
from pathlib import Path
from statistics import median
from typing import Any

from tests.support.certificates import Authority
from tests.support.models import write_bundle
from tests.support.nginx import Nginx
from tests.support.updating import Device

SIZE_BYTES = 30_000_000
ROUNDS = 7
LOOK_EVERY_S = 0.002
STEPS = ("fetch", "verify", "stage")


def measure(folder: Path, bundle: Path, amount: int | None) -> dict[str, Any]:
    """Peak memory of the installation and of its self-test, and the time of each round.

    Args:
        folder: for files.
        bundle: not used: the model shall be small.
        amount: rounds.
    """
    del bundle
    authority = Authority(folder / "authority")
    device = Device(folder)
    device.sections["fetch"] = {"ca_file": str(authority.certificate)}
    work = write_bundle(folder / "work")
    (work / "weights.bin").write_bytes(random.Random(3).randbytes(SIZE_BYTES))
    archive = device.packed(work, "1.0")
    found = {}
    for scheme, tls in (("http", None), ("https", authority.issue("127.0.0.1"))):
        with Nginx(folder / scheme, tls=tls) as server:
            shutil.copy(archive, server.root / "model.zip")
            url = f"{server.url}/model.zip"
            found[scheme] = _compared(
                [
                    (
                        _with_curl_and_unzip(url, authority.certificate, folder),
                        *_installed(device, url),
                    )
                    for _ in range(amount or ROUNDS)
                ]
            )
    return {"bundle_mb": archive.stat().st_size / 1e6, **found}


def _compared(rounds: list[tuple[float, float, float, float, float]]) -> dict[str, Any]:
    plain, steps, wall, own_mb, child_mb = zip(*rounds, strict=True)
    ratios = [ours / theirs for ours, theirs in zip(steps, plain, strict=True)]
    return {
        "curl_sha256sum_unzip_s": round(median(plain), 3),
        "fetch_verify_stage_s": round(median(steps), 3),
        "ratio": round(median(ratios), 2),
        "ratios": sorted(round(ratio, 2) for ratio in ratios),
        "whole_s": round(median(wall), 3),
        "peak_mb": round(max(own_mb), 1),
        "selftest_peak_mb": round(max(child_mb), 1),
    }


def _with_curl_and_unzip(url: str, ca_file: Path, folder: Path) -> float:
    """Seconds for the same with what every system has."""
    place = folder / "plain"
    place.mkdir()
    script = (
        'curl -sf --cacert "$1" "$0" | tee model.zip | sha256sum >sum && '
        "unzip -q model.zip -d unpacked"
    )
    began_s = time.monotonic()
    subprocess.run(["bash", "-o", "pipefail", "-c", script, url, ca_file], cwd=place, check=True)
    seconds = time.monotonic() - began_s
    shutil.rmtree(place)
    return seconds


def _installed(device: Device, url: str) -> tuple[float, float, float, float]:
    """Seconds of the steps and of all; peak memory of the process and of the self-test, MB."""
    shutil.rmtree(device.store, ignore_errors=True)
    began_s = time.monotonic()
    process = device.start("install", url, "--offline", "--json")
    own_mb = 0.0
    while process.poll() is None:
        own_mb = max(own_mb, _peak_mb(process.pid))
        time.sleep(LOOK_EVERY_S)
    wall_s = time.monotonic() - began_s
    out, err = process.communicate()
    assert process.returncode == 0, err
    seconds = json.loads(out)["seconds"]
    (report,) = (device.store / "reports").glob("*.json")
    child_mb = json.loads(report.read_text())["peak_bytes"] / 1e6
    return sum(seconds[step] for step in STEPS), wall_s, own_mb, child_mb


def _peak_mb(pid: int) -> float:
    """``VmHWM`` of a process in 10^6 bytes: the most it ever had; 0 when it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if "VmHWM" in line), 0.0)
