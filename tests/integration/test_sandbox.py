"""The sandbox around real processes that try to get out of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import rights
from updater import confined, sandbox
from updater.confined import OUTPUT_MAX_BYTES, Finished
from updater.errors import ConfigError
from updater.selftest import environment

pytestmark = pytest.mark.once

DATA_BYTES = 200_000_000
PATIENCE_S = 30.0

NETWORK = """
import json, os, socket, sys

def attempt(action):
    try:
        action()
    except OSError as error:
        return type(error).__name__
    return "reached"

port, path = int(sys.argv[1]), sys.argv[2]
tcp = lambda: socket.create_connection(("127.0.0.1", port), 5)
udp = lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port))

def unix():
    socket.socket(socket.AF_UNIX).connect(path)

def away():
    socket.create_connection(("192.0.2.1", 80), 5)

print(json.dumps({
    "tcp": attempt(tcp), "udp": attempt(udp), "unix": attempt(unix), "away": attempt(away),
    "pair": attempt(socket.socketpair), "name": attempt(lambda: socket.getaddrinfo("localhost", 1)),
}))
"""

ALONE = """
from updater import linux, sandbox
import platform, sys
linux.forbid_new_privileges()
if sys.argv.pop(1) == "filter":
    calls = sandbox.system_calls(platform.machine(), wide=sys.maxsize > 2**32)
    linux.filter_system_calls(sandbox.filter_program(calls))
else:
    linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNET)
"""


def run(
    *command: object,
    time_limit_s: float = PATIENCE_S,
    cpu_time_s: int = 60,
    data_bytes: int = DATA_BYTES,
) -> Finished:
    return confined.run(
        [str(part) for part in command],
        environment=environment(),
        time_limit_s=time_limit_s,
        cpu_time_s=cpu_time_s,
        data_bytes=data_bytes,
    )


def python(code: str, *arguments: object, **limits: Any) -> Finished:
    return run(sys.executable, "-P", "-c", code, *arguments, **limits)


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether it becomes true; only a failing test waits for the end of the patience."""
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        if condition():
            return True
        time.sleep(0.02)
    return False


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[str]]:
    """A TCP port of this machine and a socket file that answer; arguments for ``NETWORK``."""
    # A socket's path is short (108 bytes, unix(7)), and pytest's is not.
    name = f"\0sitewatch-test-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(name)
        unix.listen()
        yield [str(tcp.getsockname()[1]), name.replace("\0", "@")]


def network(*before: str) -> str:
    return "".join(before) + NETWORK.replace("sys.argv[2]", "sys.argv[2].replace('@', chr(0))")


def test_outside_of_the_sandbox_the_servers_are_reached(servers: list[str]) -> None:
    """The control: what the other tests find closed is open otherwise."""
    done = subprocess.run(
        [sys.executable, "-c", network(), *servers], capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout)
    assert {name: told[name] for name in ("tcp", "udp", "unix", "pair", "name")} == dict.fromkeys(
        ("tcp", "udp", "unix", "pair", "name"), "reached"
    )


def test_no_network_is_in_reach(servers: list[str]) -> None:
    finished = python(network(), *servers)
    assert finished.isolation, "neither a namespace nor a filter holds on this machine"
    told = json.loads(finished.stdout)
    del told["name"]  # a file may answer it
    if sandbox.FILTER in finished.isolation:
        assert told == dict.fromkeys(("tcp", "udp", "unix", "away", "pair"), "PermissionError")
    else:
        assert "reached" not in (told["tcp"], told["unix"], told["away"])


@pytest.mark.parametrize("kind", [sandbox.NAMESPACE, sandbox.FILTER])
def test_each_of_the_two_is_enough(kind: str, servers: list[str], project_root: Path) -> None:
    if kind not in python("pass").isolation:
        pytest.skip(f"no {kind} on this machine, or not with the capability of a closed checkout")
    done = subprocess.run(
        [sys.executable, "-c", network(ALONE), kind, *servers],
        env={"PYTHONPATH": str(project_root)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert "reached" not in (told["tcp"], told["unix"], told["away"])


def test_what_the_process_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "s")
    monkeypatch.chdir(tmp_path)
    code = """
import json, os, resource, sys
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
print(json.dumps({
    "environment": sorted(os.environ), "descriptors": sorted(os.listdir("/proc/self/fd"))[:-1],
    "stdin": sys.stdin.read(), "cwd": os.getcwd(),
    "oom": open("/proc/self/oom_score_adj").read().strip(),
    "rights": status["NoNewPrivs"].strip(), "leader": os.getsid(0) == os.getpid(),
    "limits": [resource.getrlimit(kind) for kind in (resource.RLIMIT_CPU, resource.RLIMIT_DATA,
        resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)],
}))
"""
    told = json.loads(python(code).stdout)
    assert told == {
        "environment": sorted(environment()),
        "descriptors": ["0", "1", "2"],
        "stdin": "",
        "cwd": str(tmp_path),
        "oom": "1000",
        "rights": "1",
        "leader": True,
        "limits": [[60, 65], [DATA_BYTES, DATA_BYTES], [256, 256], [0, 0], [0, 0]],
    }


def test_what_is_refused(tmp_path: Path) -> None:
    code = """
import ctypes, json, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)

def attempt(action):
    try:
        return action() or "done"
    except OSError as error:
        return type(error).__name__ + " " + error.strerror

def write():
    with open(sys.argv[1], "wb", buffering=0) as file:
        file.write(b"x")

def trace():
    if libc.ptrace(0x4206, os.getppid(), 0, 0):  # PTRACE_SEIZE, which stops nobody
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

def leave():
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
        except PermissionError:
            os._exit(7)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

print(json.dumps({"write": attempt(write), "trace": attempt(trace), "leave": attempt(leave),
    "group": attempt(lambda: os.setpgid(0, 0))}))
"""
    path = tmp_path / "written"
    finished = python(code, path)
    told = json.loads(finished.stdout)
    assert told["write"] == "OSError File too large"
    assert path.stat().st_size == 0
    if sandbox.FILTER in finished.isolation:
        assert told["trace"] == told["group"] == "PermissionError Operation not permitted"
        assert told["leave"] == 7


def test_memory_beyond_the_limit(project_root: Path) -> None:
    code = "import sys; print(len(bytearray(int(sys.argv[1]))))"
    assert python(code, DATA_BYTES // 2).stdout.strip() == str(DATA_BYTES // 2)
    finished = python(code, DATA_BYTES)
    assert finished.exit_code == 1
    assert finished.stderr.splitlines()[-1] == "MemoryError"


def test_memory_is_measured() -> None:
    code = "b = bytearray(100_000_000); print(b.count(1))"
    highest_bytes = max(200_000_000, rights.own_peak_bytes() + 1_000_000)
    assert 100_000_000 < python(code).peak_bytes < highest_bytes


def test_processor_time_beyond_the_limit() -> None:
    finished = python("while True: pass", cpu_time_s=1)
    assert finished.exit_code == -signal.SIGXCPU
    assert not finished.timed_out


def test_all_of_it_ends_with_its_time() -> None:
    code = """
import os, time
child = os.fork()
if child:
    print(os.getpid(), child, flush=True)
time.sleep(3600)
"""
    finished = python(code, time_limit_s=1.0)
    assert finished.timed_out
    assert finished.exit_code == -signal.SIGKILL
    pids = [int(word) for word in finished.stdout.split()]
    assert len(pids) == 2
    assert not any(lives(pid) for pid in pids[:1])
    assert eventually(lambda: not lives(pids[1]))  # its new parent reaps it


def test_a_child_that_is_left_holds_nobody_up() -> None:
    code = """
import os, time
child = os.fork()
if child == 0:
    time.sleep(3600)
print(child)
"""
    finished = python(code)
    assert (finished.exit_code, finished.timed_out) == (0, False)
    assert eventually(lambda: not lives(int(finished.stdout)))


def test_output_is_read_to_its_end_and_kept_to_its_limit() -> None:
    code = """
import sys
for _ in range(400):
    sys.stdout.write("o" * 10_000)
    sys.stderr.write("e" * 10_000)
"""
    finished = python(code)
    assert finished.exit_code == 0
    assert finished.stdout == "o" * OUTPUT_MAX_BYTES
    assert finished.stderr == "e" * OUTPUT_MAX_BYTES


def test_it_ends_when_the_updater_is_killed(project_root: Path) -> None:
    code = """
import sys
from updater import confined
from updater.selftest import environment
confined.run([sys.executable, "-c", "import os, time; os.write(2, b'x'); time.sleep(3600)"],
             environment=environment(), time_limit_s=3600, cpu_time_s=60, data_bytes=10**9)
"""
    updater = subprocess.Popen([sys.executable, "-c", code], env={"PYTHONPATH": str(project_root)})
    children = Path(f"/proc/{updater.pid}/task/{updater.pid}/children")

    def sleeping() -> list[int]:
        pids = [int(word) for word in children.read_text().split()]
        return [
            pid for pid in pids if b"sleep(3600)" in Path(f"/proc/{pid}/cmdline").read_bytes()
            and b"updater.sandbox" not in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]  # fmt: skip

    assert eventually(lambda: bool(sleeping()))
    (pid,) = sleeping()
    updater.kill()
    updater.wait()
    assert eventually(lambda: not lives(pid))


def test_a_command_that_is_not_there() -> None:
    with pytest.raises(ConfigError) as caught:
        run("/no/such/program")
    assert str(caught.value) == "/no/such/program: cannot be started: No such file or directory"


def test_a_python_that_does_not_find_the_sandbox() -> None:
    with pytest.raises(ConfigError, match=r"^x: the sandbox does not run: .*No module named"):
        confined.run(["x"], environment={}, time_limit_s=30, cpu_time_s=9, data_bytes=DATA_BYTES)


def test_an_interrupt_leaves_nothing_running(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def interrupted(pid: int, *_: object) -> bool:
        seen.append(pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(confined, "_watch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        python("import time; time.sleep(3600)")
    assert not lives(seen[0])
