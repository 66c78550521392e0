"""Export to a fully int8 ``.tflite``: torch → LiteRT → post-training quantisation, offline.

Why three sigmoid maps and not decoded boxes: one int8 scale for pixels and scores destroys one
of them, while sigmoid maps share the scale 1/256 and lose nothing that matters (docs/model.md).
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from training.anchors import STRIDES_PX
from training.dataset import Picture
from training.decode import letterbox
from training.network import SigmoidMaps, YoloV5s
from updater.atomic import write_atomically
from updater.errors import SitewatchError

#: Name that the converter gives the first input of the signature below.
_INPUT = "args_0"
_SIGNATURE = "serving_default"
#: Part of the names that the converter gives the results of the head's convolutions.
_HEAD_CONVOLUTION = "Detect_24/torch.nn.modules.conv.Conv2d"
_SILU_FLOOR = np.float32(-6.0)
_SIGMOID_LIMIT = np.float32(5.0)

Floats = NDArray[np.float32]


class ExportError(SitewatchError):
    """A model cannot be exported as it must be."""

    exit_code = 26


def export_float(network: YoloV5s, size_px: int, path: Path) -> None:
    """Convert to a float32 ``.tflite`` with NHWC input (0 to 1) and three NHWC sigmoid maps."""
    import litert_torch  # noqa: PLC0415 - heavy; only this step needs it

    example = (torch.rand(1, size_px, size_px, 3),)
    # The converter reads a weight's memory as it lies: channels-last strides would scramble it.
    plain = YoloV5s(network.classes)
    plain.load_state_dict({k: v.contiguous() for k, v in network.state_dict().items()})
    with _talk_on_stderr():
        wrapped = litert_torch.to_channel_last_io(
            SigmoidMaps(plain.eval()), args=[0], outputs=[0, 1, 2]
        )
        litert_torch.convert(wrapped.eval(), example).export(str(path))


def quantise(source: Path, pictures: Sequence[Picture], size_px: int, target: Path) -> None:
    """Quantise weights (per channel) and activations to int8, input and output included.

    Args:
        source: Float model of ``export_float``.
        pictures: Calibration pictures; they set the range of every activation.
        size_px: Input size of the model.
        target: File to write.
    """
    from ai_edge_quantizer import quantizer, recipe  # noqa: PLC0415 - heavy

    samples: list[dict[str, NDArray[np.float32]]] = []  # the quantiser takes no iterator
    for picture in pictures:
        boxed, _ = letterbox(picture, size_px)
        samples.append({_INPUT: boxed[None].astype(np.float32) / np.float32(255)})
    with _talk_on_stderr():
        work: Any = quantizer.Quantizer(str(source))
        work.load_quantization_recipe(recipe.static_wi8_ai8())
        ranges = saturate(work.calibrate({_SIGNATURE: samples}))
        work.quantize(calibration_result=ranges).export_model(str(target), overwrite=True)


def saturate(ranges: Mapping[str, Mapping[str, Floats]]) -> dict[str, dict[str, Floats]]:
    """Narrow the measured ranges to where the sigmoid behind a convolution still changes.

    Every convolution of this network ends in a SiLU or, in the head, in a sigmoid. Below -6 a
    SiLU is between -0.015 and 0, beyond ±5 a sigmoid is within 0.007 of 0 or 1: an int8 step
    spent there is lost for the values that decide. Measured ranges reach -73 (a class that is
    certain), which made the step of the box offsets 0.44 before the sigmoid. An int8 convolution
    saturates at its range by itself, so this costs no operation.

    The input is given its whole range, 0 to 1: scale 1/255, so that a device turns a pixel into
    an input value by flipping one bit.

    Args:
        ranges: Tensor name to ``min`` and ``max``, from calibration.

    Returns:
        The same, narrowed.

    Raises:
        ExportError: If the three convolutions of the head are not among the names.
    """
    narrowed: dict[str, dict[str, Floats]] = {}
    heads = 0
    for name, limits in ranges.items():
        values = dict(limits)
        values["min"] = np.maximum(values["min"], _SILU_FLOOR)
        if name.endswith(_INPUT):  # whole, even if no picture has a white or a black pixel
            values["min"] = np.zeros_like(values["min"])
            values["max"] = np.ones_like(values["max"])
        if _HEAD_CONVOLUTION in name:
            heads += 1
            values["min"] = np.maximum(values["min"], -_SIGMOID_LIMIT)
            values["max"] = np.minimum(values["max"], _SIGMOID_LIMIT)
        narrowed[name] = values
    if heads != len(STRIDES_PX):
        raise ExportError(
            f"{heads} tensors of the head in the converted model, and there must be 3",
            where=_HEAD_CONVOLUTION,
            hint="The converter names tensors in another way than litert-torch 0.10: look at them",
        )
    return narrowed


def export_int8(network: YoloV5s, pictures: Sequence[Picture], size_px: int, target: Path) -> None:
    """Export and quantise for one input size; ``target`` is written whole or not at all.

    Raises:
        StorageError: It cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        plain, small = Path(folder) / "float.tflite", Path(folder) / "int8.tflite"
        export_float(network, size_px, plain)
        quantise(plain, pictures, size_px, small)
        write_atomically(target, small.read_bytes())


def describe(path: Path) -> dict[str, object]:
    """Input and outputs of a ``.tflite``, for the report line."""
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415

    interpreter = Interpreter(model_path=str(path))
    tensors = [*interpreter.get_input_details(), *interpreter.get_output_details()]
    return {
        "bytes": path.stat().st_size,
        "tensors": [
            f"{tensor['dtype'].__name__} {'x'.join(map(str, tensor['shape']))}"
            for tensor in tensors
        ],
    }


@contextlib.contextmanager
def _talk_on_stderr() -> Iterator[None]:
    """The converters print; stdout belongs to the JSON lines."""
    with contextlib.redirect_stdout(sys.stderr):
        yield
