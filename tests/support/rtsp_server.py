"""A real RTSP server (GStreamer's) with a test picture, a process of its own.

Runs under the system's Python, because that has the bindings: Debian packages python3-gi,
gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-base, -good and, for H.264, -ugly.
Prints the port on one line when it accepts connections, and serves until it is killed.
"""

from __future__ import annotations

import argparse

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

ENCODERS = {
    "mjpeg": "jpegenc ! rtpjpegpay name=pay0 pt=26",
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 "
    "! rtph264pay name=pay0 pt=96 config-interval=1",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", default="0", help="0: any free one")
    parser.add_argument("--path", default="/site")
    parser.add_argument("--codec", choices=sorted(ENCODERS), default="mjpeg")
    parser.add_argument("--size", default="320x240")
    parser.add_argument("--rate", type=int, default=25)
    parser.add_argument("--picture", default="", help="a JPEG to show instead of the test picture")
    parser.add_argument("--pictures", default="", help="JPEGs to show in turn: /…/%%03d.jpg")
    parser.add_argument("--address", default="127.0.0.1", help="to listen on")
    parser.add_argument("--login", default="", help="user:password, asked of every client")
    arguments = parser.parse_args()

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address(arguments.address)
    server.set_service(arguments.port)

    width, height = arguments.size.split("x")
    factory = GstRtspServer.RTSPMediaFactory()
    shown = "videotestsrc is-live=true pattern=ball"
    if arguments.picture:
        # The picture is decoded once and repeated; identity paces it like a camera.
        shown = (
            f'filesrc location="{arguments.picture}" ! jpegdec ! imagefreeze '
            f"! video/x-raw,framerate={arguments.rate}/1 ! identity sync=true "
            "! videoconvert ! videoscale"
        )
    if arguments.pictures:
        # Without end, paced like a camera.
        shown = (
            f'multifilesrc location="{arguments.pictures}" loop=true '
            f"caps=image/jpeg,framerate={arguments.rate}/1 ! jpegdec ! identity sync=true "
            "! videoconvert ! videoscale"
        )
    factory.set_launch(
        f"( {shown} ! video/x-raw,format=I420,width={width},height={height},"
        f"framerate={arguments.rate}/1 ! {ENCODERS[arguments.codec]} )"
    )
    factory.set_shared(True)
    if arguments.login:
        _ask_for_login(server, factory, *arguments.login.split(":", 1))
    server.get_mount_points().add_factory(arguments.path, factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


def _ask_for_login(
    server: GstRtspServer.RTSPServer,
    factory: GstRtspServer.RTSPMediaFactory,
    user: str,
    password: str,
) -> None:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role(
        "viewer", GstRtspServer.RTSP_PERM_MEDIA_FACTORY_ACCESS, True
    )
    permissions.add_permission_for_role(
        "viewer", GstRtspServer.RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, True
    )
    factory.set_permissions(permissions)


if __name__ == "__main__":
    main()
