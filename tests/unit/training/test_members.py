from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from training.members import ALONE, MembersError, arguments, read_members

SCRIPT = Path(__file__).resolve().parents[3] / "scripts/members.py"


def member(name: str, *addresses: str) -> dict[str, Any]:
    return {
        "announce_time": "2022-05-24T07:24:41.297000",
        "identity": f"happy-friday-{name}",
        "job_id": f"exec-0180f5a9-{name}",
        "member_id": name,
        "network": {
            "exposed_ports": {"1234": "1234"},
            "local_ips": list(addresses),
            "public_ips": ["34.121.32.110"],
        },
    }


def write(folder: Path, own: str, *members: dict[str, Any], count: int | None = None) -> Path:
    """As Valohai's documentation shows the file."""
    path = folder / "distributed.json"
    config = {
        "group_name": "task-0180f5a9-9ffe-4e09-d5a7-9a0a507019d4",
        "member_id": own,
        "required_count": len(members) if count is None else count,
    }
    found = next((each for each in members if each["member_id"] == own), {})
    path.write_text(json.dumps({"config": config, "members": members, "self": found}))
    return path


def test_every_member_meets_at_the_first(tmp_path: Path) -> None:
    members = [member("1", "10.0.16.12", "172.17.0.1"), member("0", "10.0.16.11")]
    for own in ("0", "1"):
        found = read_members(write(tmp_path, own, *members))
        assert " ".join(arguments(found, 1234)) == (
            f"--nnodes 2 --node-rank {own} --nproc-per-node auto "
            "--master-addr 10.0.16.11 --master-port 1234"
        )


def test_numbers_are_ranked_as_numbers_and_names_as_names(tmp_path: Path) -> None:
    members = [member(str(number), f"10.0.0.{number}") for number in (10, 9, 2)]
    assert read_members(write(tmp_path, "10", *members)).rank == 2
    named = [member(name, "10.0.0.1") for name in ("b", "a", "10")]
    assert read_members(write(tmp_path, "a", *named)).rank == 1


def test_one_member_is_this_machine_alone(tmp_path: Path) -> None:
    assert arguments(read_members(write(tmp_path, "0", member("0", "10.0.0.1"))), 1) == ALONE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"config": {}}',
        '{"config": {"group_name": "a", "member_id": "0", "required_count": 1}, "members": 3}',
    ],
)
def test_what_is_not_understood_is_an_error_with_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "distributed.json"
    path.write_text(text)
    with pytest.raises(MembersError, match=r"distributed\.json.*is not understood"):
        read_members(path)


def test_nothing_but_an_address_goes_into_the_command_line(tmp_path: Path) -> None:
    for wrong in ("10.0.0.1; rm -rf /", "$(id)", "--rdzv"):
        with pytest.raises(MembersError):
            read_members(write(tmp_path, "0", member("0", wrong)))
    with pytest.raises(MembersError):
        read_members(write(tmp_path, "0", member("0")))  # none at all


def test_members_that_are_missing_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(MembersError, match="2 members are wanted, listed are 0; this is 0"):
        read_members(write(tmp_path, "0", member("0", "10.0.0.1"), count=2))
    with pytest.raises(MembersError, match="this is 7"):
        read_members(write(tmp_path, "7", member("0", "10.0.0.1")))


def test_the_command_prints_them_and_is_alone_without_the_file(tmp_path: Path) -> None:
    def told(**environment: str) -> str:
        return subprocess.run(
            [sys.executable, str(SCRIPT)],
            env=environment, cwd=tmp_path, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip

    assert told() == "--standalone --nproc-per-node auto\n"
    assert told(VH_CONFIG_DIR=str(tmp_path)) == "--standalone --nproc-per-node auto\n"
    write(tmp_path, "1", member("0", "10.0.0.1"), member("1", "10.0.0.2"))
    assert told(VH_CONFIG_DIR=str(tmp_path)).startswith("--nnodes 2 --node-rank 1 ")
