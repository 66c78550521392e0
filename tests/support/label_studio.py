"""A real Label Studio: its own server in a process of its own, and what people do in it.

``scripts/setup-cloud --label-studio`` installs it. It runs on SQLite in a folder of the caller's,
listens on this machine only and calls nobody. Tasks may name pictures that it cannot reach: it
hands their addresses to browsers and never opens them itself.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from scripts.processes import free_port, stop

ENVIRONMENT = Path(__file__).resolve().parents[2] / ".venv-label-studio"
START_TIMEOUT_S = 300.0
"""Half a minute of computing where the tables are to be made, on a machine that may be busy."""
STOP_TIMEOUT_S = 30.0
REQUEST_TIMEOUT_S = 120.0
USER = "labeller@example.com"
DATABASE = "label_studio.sqlite3"
NOWHERE = "http://127.0.0.1:9"


class LabelStudioError(Exception):
    """It did not start, or refused something."""


def missing() -> str:
    """Why it cannot be started here; "" where it can."""
    if (ENVIRONMENT / "bin/label-studio").exists():
        return ""
    return "Label Studio is not installed: scripts/setup-cloud --label-studio"


@dataclass(frozen=True, slots=True)
class LabelStudio:
    """A server that runs.

    Attributes:
        url: its address, without a slash at the end.
        token: of its only user, who may do everything.
    """

    url: str
    token: str = field(repr=False)

    def create_project(self, config: str, title: str = "captures") -> int:
        """Makes a project with a labelling interface (XML); its number."""
        made = self._ask("POST", "/api/projects", json={"title": title, "label_config": config})
        return int(made["id"])

    def import_tasks(self, project: int, tasks: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Imports tasks as ``labels.py out`` writes them; the server's counts."""
        found = self._ask("POST", f"/api/projects/{project}/import", json=list(tasks))
        return dict(found)

    def upload(self, project: int, picture: Path) -> None:
        """Makes a task of a picture the way its import dialogue does."""
        with picture.open("rb") as file:
            files = {"file": (picture.name, file, "image/jpeg")}
            self._ask("POST", f"/api/projects/{project}/import", files=files)

    def tasks(self, project: int) -> list[dict[str, Any]]:
        """Every task, its predictions and annotations; the server gives a hundred at a time."""
        found: list[dict[str, Any]] = []
        for page in itertools.count(1):
            parameters = {"project": project, "fields": "all", "page": page, "page_size": 100}
            answer = self._ask("GET", "/api/tasks", params=parameters)
            found += answer["tasks"]
            if len(found) >= answer["total"] or not answer["tasks"]:
                break
        return found

    def annotate(
        self,
        task: int,
        result: Sequence[Mapping[str, Any]],
        *,
        prediction: int | None = None,
        **more: Any,
    ) -> int:
        """Submits an annotation, as somebody who labels does; its number.

        Args:
            task: its number.
            result: regions.
            prediction: which one it began with.
            **more: further fields: ``was_cancelled`` (skipped), ``ground_truth``.
        """
        document = {"result": list(result), "lead_time": 1.0, "parent_prediction": prediction}
        path = f"/api/tasks/{task}/annotations/"
        return int(self._ask("POST", path, json={**document, **more})["id"])

    def export(self, project: int, form: str = "JSON", *, everything: bool = False) -> bytes:
        """What its export dialogue gives: JSON, or a zip file for ``YOLO`` and ``COCO``.

        Args:
            project: its number.
            form: of the export.
            everything: also tasks that nobody has annotated.
        """
        parameters = {"exportType": form, "download_all_tasks": str(everything).lower()}
        path = f"/api/projects/{project}/export"
        return self._send("GET", path, params=parameters).content

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        return self._send(method, path, **options).json()

    def _send(self, method: str, path: str, **options: Any) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False  # no proxy stands between
            session.headers["Authorization"] = f"Token {self.token}"
            url = f"{self.url}{path}"
            answer = session.request(method, url, timeout=REQUEST_TIMEOUT_S, **options)
        if not answer.ok:
            raise LabelStudioError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer


@contextlib.contextmanager
def start(folder: Path) -> Iterator[LabelStudio]:
    """Runs a server with an empty database while the context lasts.

    Args:
        folder: for its database, uploads and log; made when absent.

    Raises:
        LabelStudioError: it is not installed, or does not start.
    """
    if reason := missing():
        raise LabelStudioError(reason)
    data = folder / "data"
    data.mkdir(parents=True)
    if (empty := ENVIRONMENT / "empty" / DATABASE).exists():
        shutil.copyfile(empty, data / DATABASE)
    port, token = free_port(), secrets.token_hex(20)
    studio = LabelStudio(f"http://127.0.0.1:{port}", token)
    command = [str(ENVIRONMENT / "bin/label-studio"), "start", "--no-browser"]
    command += ["--internal-host", "127.0.0.1", "--port", str(port)]
    log = folder / "label-studio.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=data, env=_environment(data, token), stdin=subprocess.DEVNULL,
            stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        _wait(process, studio, log)
        yield studio
    finally:
        stop(process, STOP_TIMEOUT_S)


def _environment(data: Path, token: str) -> dict[str, str]:
    """Nothing of ours but the path; the account, which no argument shows; no calls to anybody."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(data),
        # Nothing listens there: what the settings below should miss gets nowhere.
        "HTTP_PROXY": NOWHERE,
        "HTTPS_PROXY": NOWHERE,
        # It asks git which version it is, and would ask about the repository around it.
        "GIT_DIR": str(data),
        "LABEL_STUDIO_BASE_DATA_DIR": str(data),
        "LABEL_STUDIO_USERNAME": USER,
        "LABEL_STUDIO_PASSWORD": secrets.token_hex(20),
        "LABEL_STUDIO_USER_TOKEN": token,
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "FEATURE_FLAGS_OFFLINE": "true",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "LOG_LEVEL": "WARNING",
    }


def _wait(process: subprocess.Popen[bytes], studio: LabelStudio, log: Path) -> None:
    until_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until_s:
        if process.poll() is not None:
            break
        with contextlib.suppress(requests.ConnectionError, LabelStudioError):
            if studio._ask("GET", "/health").get("status") == "UP":
                return
        time.sleep(0.2)
    raise LabelStudioError(f"does not start: {log.read_text(errors='replace')[-2000:]}")
