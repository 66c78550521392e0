"""Starts and kills the RTSP server of ``rtsp_server.py``."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Self

SYSTEM_PYTHON = "/usr/bin/python3"
PACKAGES = (
    "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good "
    "gstreamer1.0-plugins-ugly"
)
_SCRIPT = Path(__file__).with_name("rtsp_server.py")
_CHECK = (
    "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0'); "
    "from gi.repository import Gst, GstRtspServer; Gst.init(None); "
    "assert all(map(Gst.ElementFactory.find, ('jpegenc', 'rtpjpegpay', 'x264enc')))"
)


def missing() -> str:
    """Why there can be no server here; empty if there can."""
    if shutil.which(SYSTEM_PYTHON) is None:
        return f"no {SYSTEM_PYTHON}"
    check = subprocess.run(
        [SYSTEM_PYTHON, "-c", _CHECK], capture_output=True, timeout=60, check=False
    )
    return f"apt install {PACKAGES}" if check.returncode else ""


class RtspServer:
    """A running server.

    Args:
        codec: ``mjpeg`` or ``h264``.
        login: ``user:password`` that it asks for; empty for none.
        port: 0 takes a free one.
        options: of ``rtsp_server.py`` beside these.
        host: address to listen on.
    """

    def __init__(
        self,
        *,
        codec: str = "mjpeg",
        login: str = "",
        port: int = 0,
        options: tuple[str, ...] = (),
        host: str = "127.0.0.1",
    ) -> None:
        self._codec = codec
        self._host = host
        self._options = options
        self._login = login
        self.port = port
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def url(self) -> str:
        return f"rtsp://{self._host}:{self.port}/site"

    def start(self) -> None:
        """Returns when it accepts connections; after a kill, on the same port as before."""
        command = [SYSTEM_PYTHON, str(_SCRIPT), "--port", str(self.port), "--codec", self._codec]
        command += ["--address", self._host]
        command += self._options
        if self._login:
            command += ["--login", self._login]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line.isdigit(), f"the RTSP server did not start: {line!r}"
        assert int(line) > 0, "the RTSP server got no port"
        self.port = int(line)

    def kill(self) -> None:
        """As a power cut would end a camera: nobody says good-bye."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()
