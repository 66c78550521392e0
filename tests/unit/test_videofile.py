from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from daemon.frames import Frame
from daemon.sources.videofile import VideoFileSource
from tests.support.videos import HEIGHT, WIDTH, grey_levels, make_video
from updater.errors import SourceError


def read_all(source: VideoFileSource) -> list[Frame]:
    frames = []
    with source:
        while (frame := source.read()) is not None:
            frames.append(frame)
    return frames


def level(frame: Frame) -> float:
    return float(frame.picture.resized(32, 16).mean())


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "mpeg4"), ("a.avi", "mjpeg"), ("a.mkv", "mpeg4"), ("a.ts", "mpeg2video")],
)
def test_every_frame_comes_in_order_on_the_clock_of_the_file(
    tmp_path: Path, name: str, codec: str
) -> None:
    source = VideoFileSource(make_video(tmp_path / name, frames=20, rate=25, codec=codec))
    frames = read_all(source)

    assert [frame.sequence for frame in frames] == list(range(20))
    assert [frame.media_time_s for frame in frames] == pytest.approx(
        [number / 25 for number in range(20)], abs=1e-3
    )
    assert [level(frame) for frame in frames] == pytest.approx(grey_levels(20), abs=6)
    assert {(frame.picture.width, frame.picture.height) for frame in frames} == {(WIDTH, HEIGHT)}
    assert source.damaged == 0
    assert not source.live


def test_time_stamps_of_a_varying_rate_are_kept(tmp_path: Path) -> None:
    stamps = [0, 1, 2, 10, 11, 30]
    path = make_video(tmp_path / "a.mkv", frames=6, rate=10, stamps=stamps)
    times = [frame.media_time_s for frame in read_all(VideoFileSource(path))]

    assert times == pytest.approx([0, 0.1, 0.2, 1.0, 1.1, 3.0], abs=0.01)


def test_a_file_without_stamps_goes_by_its_rate(tmp_path: Path) -> None:
    raw = make_video(tmp_path / "a.m4v", frames=10, rate=10)  # a bare MPEG-4 stream
    times = [frame.media_time_s for frame in read_all(VideoFileSource(raw))]

    steps = {round(after - before, 6) for before, after in pairwise(times)}
    assert len(times) == 10
    assert times[0] == 0
    assert len(steps) == 1
    assert 0.02 <= steps.pop() <= 0.11  # libav may only guess the rate of a bare stream


def test_a_truncated_file_delivers_what_is_readable_and_then_says_where_it_ends(
    tmp_path: Path,
) -> None:
    # "faststart" puts the index in front, so that the first half can be read.
    whole = make_video(
        tmp_path / "a.mp4", frames=50, rate=10, options={"movflags": "faststart"}
    ).read_bytes()
    path = tmp_path / "half.mp4"
    path.write_bytes(whole[: len(whole) * 6 // 10])
    source = VideoFileSource(path)

    frames = []
    with source, pytest.raises(SourceError, match=r"ends after \d\.\d of 5\.0 s") as caught:
        while (frame := source.read()) is not None:
            frames.append(frame)

    assert 10 < len(frames) < 50
    assert str(path) in str(caught.value)
    assert f"The {len(frames)} frames" in caught.value.hint
    assert source.read() is None


def test_a_file_cut_off_before_its_index_is_a_clear_error(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "a.mp4").read_bytes()  # here the index is at the end
    path = tmp_path / "half.mp4"
    path.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(SourceError, match="cut off before its index") as caught:
        VideoFileSource(path).__enter__()
    assert caught.value.exit_code == 6


def test_damaged_packets_in_the_middle_are_counted_and_left_out(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", frames=40, codec="mjpeg")
    with av.open(str(path)) as container:
        spots = [(p.pos or 0, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for position, size in spots[10:14]:
        # The picture's own header, past Matroska's few bytes in front of it.
        data[position + 8 : position + size] = bytes(size - 8)
    path.write_bytes(data)
    source = VideoFileSource(path)

    frames = read_all(source)

    assert len(frames) == 36
    assert source.damaged == 4
    times = [frame.media_time_s for frame in frames]
    assert times[10] == pytest.approx(1.4, abs=0.01)  # the gap stays a gap


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "is no video"), (b"no video at all\n" * 200, "is no video")]
)
def test_what_is_no_video_is_a_clear_error(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message):
        VideoFileSource(path).__enter__()


def test_a_file_of_sound_alone_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame(format="s16", layout="mono", samples=800)
        frame.sample_rate = 8000
        frame.pts = 0
        container.mux(stream.encode(frame))
    with pytest.raises(SourceError, match="contains no video"):
        VideoFileSource(path).__enter__()


def test_absent_file_and_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        VideoFileSource(tmp_path / "absent.mp4").__enter__()
    with pytest.raises(SourceError, match="is a folder"):
        VideoFileSource(tmp_path).__enter__()


def test_a_playlist_does_not_lead_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "a.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:1/x.ts\n")
    with pytest.raises(SourceError, match="known format"):
        read_all(VideoFileSource(path))


def test_a_name_with_a_colon_is_a_file(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=3)
    named = path.rename(tmp_path / "12:30 gate.mp4")
    assert len(read_all(VideoFileSource(named))) == 3


def test_an_interrupted_source_ends(tmp_path: Path) -> None:
    source = VideoFileSource(make_video(tmp_path / "a.mp4"))
    with source:
        assert source.read() is not None
        source.interrupt()
        frames = [source.read() for _ in range(20)]
    assert frames[-1] is None


@pytest.mark.skipif(
    int(av.__version__.split(".")[0]) < 18, reason="older PyAV cannot write a rotated video"
)
def test_a_video_lying_on_its_side_is_turned_upright(tmp_path: Path) -> None:
    lying = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    lying[:, WIDTH // 2 :] = 255  # its right half is white
    path = make_video(tmp_path / "a.mp4", pictures=[lying] * 2, rotation_degrees=90)

    picture = read_all(VideoFileSource(path))[0].picture

    assert (picture.width, picture.height) == (HEIGHT, WIDTH)
    upright = picture.rgb()
    assert upright.shape == (WIDTH, HEIGHT, 3)
    # Turned counter-clockwise by 90 degrees, right becomes top.
    assert upright[: WIDTH // 2 - 8].mean() > 240
    assert upright[WIDTH // 2 + 8 :].mean() < 15


@pytest.mark.shared_data
def test_the_clips_are_read_whole(shared_data: Path) -> None:
    frames = read_all(VideoFileSource(shared_data / "videos/one-by-one-person-detection.mp4"))
    assert len(frames) == 1394
    assert frames[-1].media_time_s == pytest.approx(139.3, abs=0.01)
