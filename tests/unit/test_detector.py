"""The whole detector on real models: every layout and type, in every runtime installed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from daemon.config import ModelConfig
from daemon.detection.detections import Detections
from daemon.detection.detector import MIN_SCORE, Detector
from daemon.detection.layout import HeadMapsLayout, TableLayout
from daemon.detection.runtime import installed
from daemon.frames import RgbImage
from daemon.sources.picture import ArrayPicture
from tests.support.models import CLASSES, FOLDER, RED, SCENE, SIZE, config, scene, write_bundle
from updater.errors import ModelError

BROKEN = {"classifier_int8", "head_maps_logits_float32"}
MODELS = sorted(path.stem for path in FOLDER.glob("*.tflite") if path.stem not in BROKEN)
RUNTIMES = [kind.name for kind, _ in installed()]

FACTOR = 4
"""The test pictures are so many times as large as the model's input."""


def framed(rgb: RgbImage, width: int, height: int) -> RgbImage:
    """A picture in the middle of a grey one."""
    whole = np.full((height, width, 3), 114, np.uint8)
    top, left = (height - rgb.shape[0]) // 2, (width - rgb.shape[1]) // 2
    whole[top : top + rgb.shape[0], left : left + rgb.shape[1]] = rgb
    return whole


def assert_scene(found: Detections, *, factor: float, shift: tuple[float, float] = (0, 0)) -> None:
    """Both objects are found, within a pixel of the model's input, and nothing else."""
    assert {one.class_name for one in found} == set(CLASSES)
    assert len(found) == len(SCENE)
    for name, corners in SCENE:
        (one,) = found.of_class(name)
        expected = np.array(corners) * factor + [*shift, *shift]
        assert np.abs(np.array(one.box.as_tuple()) - expected).max() < factor
        assert one.score > 0.95


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", MODELS)
def test_every_layout_and_type(tmp_path: Path, name: str, runtime: str) -> None:
    detector = Detector.open(config(tmp_path, name, runtime=runtime))
    for _ in range(2):
        found = detector.detect(ArrayPicture(scene(FACTOR)))
        assert_scene(found, factor=FACTOR)
    assert (found.width, found.height) == (SIZE * FACTOR, SIZE * FACTOR)
    assert found.boxes.dtype == found.scores.dtype == np.float32
    assert found.class_ids.dtype == np.int32
    assert (np.diff(found.scores) <= 0).all()
    detector.close()


def test_the_models_cover_what_they_should() -> None:
    layouts = {name.rsplit("_", 1)[0] for name in MODELS}
    assert layouts >= {"head_maps", "head_maps_nchw", "yolov5_fraction", "ultralytics_fraction"}
    for layout in ("head_maps", "yolov5_fraction", "ultralytics_fraction"):
        assert {f"{layout}_{dtype}" for dtype in ("int8", "uint8", "float32")} <= set(MODELS)


@pytest.mark.parametrize("unit", ["pixels", "fraction"])
@pytest.mark.parametrize("family", ["yolov5", "ultralytics"])
def test_the_box_unit_is_told_by_the_values(tmp_path: Path, family: str, unit: str) -> None:
    detector = Detector.open(config(tmp_path, f"{family}_{unit}_float32"))
    assert isinstance(detector.layout, TableLayout)
    assert detector.layout.box_unit == unit


def test_boxes_of_a_wide_frame_are_in_its_own_pixels(tmp_path: Path) -> None:
    detector = Detector.open(config(tmp_path))
    # 64x64 of the input show 512x512 of the frame, of which the frame has the middle rows.
    frame = framed(scene(8), 512, 512)[64:448]

    found = detector.detect(ArrayPicture(np.ascontiguousarray(frame)))

    assert_scene(found, factor=8, shift=(0, -64))


def test_boxes_are_cut_to_the_frame(tmp_path: Path) -> None:
    detector = Detector.open(config(tmp_path))
    # In the input the frame covers rows 20 to 44, and 44 is the middle of a cell.
    rgb = np.full((192, 512, 3), 114, np.uint8)
    rgb[160:, 320:384] = RED

    found = detector.detect(ArrayPicture(rgb))

    (red,) = found
    assert red.box.y2 == 192
    assert abs(red.box.y1 - 160) < 8
    assert (found.boxes >= 0).all()
    assert (found.boxes[:, [0, 2]] <= 512).all()
    assert (found.boxes[:, [1, 3]] <= 192).all()


def test_a_box_that_reaches_out_of_the_corner_begins_in_it(tmp_path: Path) -> None:
    detector = Detector.open(config(tmp_path))
    corner = (("red", (0.0, 0.0, 8.0, 8.0)),)
    picture = ArrayPicture(scene(FACTOR, objects=corner))
    outputs = detector.outputs(picture)
    detector.detect(picture)
    # The model's own int8 box is 8.2 pixels wide around the middle of its cell.
    values = next(output for output in outputs if output.shape[1] == 8)[0, 0, 0, :4]
    x, _, w, _ = (values.astype(float) + 128) / 256
    assert (2 * x - 0.5) * 8 - (2 * w) ** 2 * 10 / 2 < 0

    (red,) = detector.detect(picture)

    assert red.box.x1 == 0


def test_frames_of_different_sizes_in_turn(tmp_path: Path) -> None:
    detector = Detector.open(config(tmp_path))
    for factor in (2, 5, 1, 2):
        assert_scene(detector.detect(ArrayPicture(scene(factor))), factor=factor)
    wide = np.ascontiguousarray(framed(scene(1), 128, 64))
    detector.detect(ArrayPicture(wide))
    assert_scene(detector.detect(ArrayPicture(scene(3))), factor=3)


def test_the_small_picture_can_be_made_apart(tmp_path: Path) -> None:
    detector = Detector.open(config(tmp_path))
    picture = ArrayPicture(scene(FACTOR)[32:224])
    small = detector.small(picture)
    assert small.shape == (48, 64, 3)

    apart, at_once = detector.detect_small(small, picture), detector.detect(picture)

    np.testing.assert_array_equal(apart.boxes, at_once.boxes)
    np.testing.assert_array_equal(apart.scores, at_once.scores)


def test_a_bundle(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle")
    detector = Detector.open(ModelConfig(bundle=folder, runtime=RUNTIMES[0], threads=1))

    found = detector.detect(ArrayPicture(scene(FACTOR)))

    assert_scene(found, factor=FACTOR)
    assert detector.input_size == (SIZE, SIZE)
    assert detector.classes == found.classes == CLASSES
    assert detector.model_version == found.model_version == "2026.11.22"
    assert isinstance(detector.layout, HeadMapsLayout)
    assert (detector.score_threshold, detector.iou_threshold) == (0.4, 0.5)


def test_thresholds_come_from_the_manifest_unless_configured(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle")
    wanted = ModelConfig(bundle=folder, runtime=RUNTIMES[0], threads=1, score_threshold=0.999)
    detector = Detector.open(wanted)
    picture = ArrayPicture(scene(FACTOR))
    assert len(detector.detect(picture)) == 0

    detector.configure(replace(wanted, score_threshold=0.9, iou_threshold=0.7))
    assert len(detector.detect(picture)) == 2
    assert (detector.score_threshold, detector.iou_threshold) == (0.9, 0.7)

    detector.configure(replace(wanted, score_threshold=0.0))
    assert (detector.score_threshold, detector.iou_threshold) == (0.4, 0.5)
    detector.configure(replace(wanted, score_threshold=1e-9))
    assert detector.score_threshold == MIN_SCORE


def test_times_are_told_and_add_up(tmp_path: Path) -> None:
    detector = Detector.open(config(tmp_path))
    detector.detect(ArrayPicture(scene(FACTOR)))
    timing = detector.timing
    assert min(timing.prepare_ms, timing.invoke_ms, timing.decode_ms) > 0


def test_raw_outputs_are_copies(tmp_path: Path) -> None:
    detector = Detector.open(config(tmp_path))
    outputs = detector.outputs(ArrayPicture(scene(FACTOR)))
    assert [output.shape for output in outputs] == [
        tensor.shape for tensor in detector.runtime.tensors.outputs
    ]
    detector.detect(ArrayPicture(scene(FACTOR)))  # would fail if a view were left


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_model_of_unknown_layout_is_named_with_its_tensors(tmp_path: Path, runtime: str) -> None:
    with pytest.raises(ModelError) as caught:
        Detector.open(config(tmp_path, "classifier_int8", runtime=runtime))
    text = str(caught.value)
    assert text.startswith(str(FOLDER / "classifier_int8.tflite"))
    assert "int8[1,64,64,3]" in text
    assert "int8[1,384]" in text


def test_a_model_without_its_sigmoid_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="sigmoid as its last step"):
        Detector.open(config(tmp_path, "head_maps_logits_float32"))


def test_labels_of_another_model(tmp_path: Path) -> None:
    wanted = config(tmp_path)
    assert wanted.labels is not None
    wanted.labels.write_text("one\ntwo\nthree\n")
    with pytest.raises(ModelError, match="labels are the model's"):
        Detector.open(wanted)
