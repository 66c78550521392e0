"""Run a model over pictures: the float network or an exported ``.tflite``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training.decode import Found, Picture, clip, decode_maps, letterbox, suppress
from training.network import YoloV5s

Floats = NDArray[np.float32]
#: From a letterboxed picture ``[S,S,3]`` to three sigmoid maps ``[h,w,3·(5+C)]``.
Maps = Callable[[Picture], Sequence[Floats]]

_NMS_IOU = 0.6


def torch_maps(network: YoloV5s, *, mirror: bool = False) -> Maps:
    """The float network as a function of one letterboxed picture."""
    device = next(network.parameters()).device

    @torch.inference_mode()
    def run(picture: Picture) -> list[Floats]:
        tensor = torch.from_numpy(picture).to(device).permute(2, 0, 1).unsqueeze(0)
        tensor = tensor.float().div(255).contiguous(memory_format=torch.channels_last)
        if mirror:
            tensor = tensor.flip(3)
        return [m.sigmoid()[0].permute(1, 2, 0).cpu().numpy() for m in network(tensor)]

    return run


def tflite_maps(path: Path, threads: int = 2) -> Maps:
    """An exported model (int8 in and out, or float) as a function of one letterboxed picture."""
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - heavy, and not always needed

    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]
    exits = sorted(interpreter.get_output_details(), key=lambda d: -int(d["shape"][1]))

    def run(picture: Picture) -> list[Floats]:
        data: NDArray[np.generic]
        if entry["dtype"] == np.int8:
            data = (picture ^ np.uint8(0x80)).view(np.int8)  # scale 1/255, zero point -128
        else:
            data = picture.astype(np.float32) / 255
        interpreter.set_tensor(entry["index"], data[None])
        interpreter.invoke()
        maps = []
        for detail in exits:
            values = interpreter.get_tensor(detail["index"])[0]
            scale, zero = detail["quantization"]
            if scale:
                values = (values.astype(np.float32) - zero) * scale
            maps.append(values.astype(np.float32))
        return maps

    return run


def detect(
    picture: Picture, size_px: int, maps: Maps, least_score: float, most_iou: float = _NMS_IOU
) -> Found:
    """Detections of one picture, in its own pixels."""
    boxed, placement = letterbox(picture, size_px)
    found = suppress(decode_maps(maps(boxed), least_score), most_iou)
    in_picture = Found(placement.to_picture(found.boxes), found.scores, found.classes)
    return clip(in_picture, picture.shape[1], picture.shape[0])
