"""The two inference runtimes behind one interface.

``ai-edge-litert`` hands an int8 graph to XNNPACK and is the faster on most machines;
``tflite-runtime`` 2.14 (its last release) was built without XNNPACK's quantised kernels, which on
some older cores is the faster all the same. Which one runs is measured: see ``runtime_choice``.
In both, XNNPACK works with ``num_threads`` threads of its own pool.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from daemon.detection.tensors import ModelTensors, TensorInfo, TensorValues
from updater.errors import ModelError

log = logging.getLogger(__name__)

_CHATTER = (b"INFO:", b"WARNING: Attempting to use a delegate", b"WARNING: All log messages")
"""First words of what the runtimes print to stderr though nothing is wrong."""


@dataclass(frozen=True, slots=True)
class RuntimeKind:
    """One of the packages that can run a ``.tflite``.

    Attributes:
        name: in the configuration and in reports.
        module: that holds ``Interpreter``.
        distribution: its name for pip.
    """

    name: str
    module: str
    distribution: str


LITERT = RuntimeKind("litert", "ai_edge_litert.interpreter", "ai-edge-litert")
TFLITE_RUNTIME = RuntimeKind("tflite-runtime", "tflite_runtime.interpreter", "tflite-runtime")
KINDS = (LITERT, TFLITE_RUNTIME)
"""Every runtime, the one that is usually faster first."""


class InferenceRuntime(Protocol):
    """A loaded model that can be run; by one thread at a time."""

    @property
    def kind(self) -> RuntimeKind:
        """Which package runs it."""

    @property
    def tensors(self) -> ModelTensors:
        """Its inputs and outputs."""

    def invoke(self, values: TensorValues) -> tuple[TensorValues, ...]:
        """Runs the model once.

        Args:
            values: of the only input, in its shape and type.

        Returns:
            Every output in the order of ``tensors.outputs``, as views of the runtime's own memory:
            copy what must last and drop the views before the next call.

        Raises:
            ModelError: the runtime failed, or views of an earlier call are still held.
        """

    def invoke_only(self) -> None:
        """Runs the model on the values of the last call, and nothing else: for measurements."""

    def close(self) -> None:
        """Frees the model."""


class TfliteRuntime:
    """A model in the ``Interpreter`` that both packages offer.

    Args:
        kind: which package.
        content: the ``.tflite`` file.
        threads: of the runtime.
        where: names the model in errors.

    Raises:
        ModelError: the package cannot be imported here, or it cannot load or run the model.
    """

    def __init__(self, kind: RuntimeKind, content: bytes, *, threads: int, where: str) -> None:
        self.kind = kind
        self._where = where
        with quiet_stderr():
            self._interpreter: Any = self._load(content, threads)
            inputs = self._interpreter.get_input_details()
            outputs = self._interpreter.get_output_details()
        self.tensors = ModelTensors(tuple(map(_info, inputs)), tuple(map(_info, outputs)))
        self._input_index = int(inputs[0]["index"]) if inputs else -1
        # Each call of such a function gives a fresh view; the function itself holds none.
        self._views = tuple(self._interpreter.tensor(detail["index"]) for detail in outputs)

    def invoke(self, values: TensorValues) -> tuple[TensorValues, ...]:
        """See :class:`InferenceRuntime`."""
        try:
            self._interpreter.set_tensor(self._input_index, values)
            self._interpreter.invoke()
            return tuple(view() for view in self._views)
        except (RuntimeError, ValueError) as error:
            raise ModelError(
                f"{self.kind.name} failed to run the model: {_first_line(error)}",
                where=self._where,
            ) from error

    def invoke_only(self) -> None:
        """See :class:`InferenceRuntime`."""
        self._interpreter.invoke()

    def close(self) -> None:
        """See :class:`InferenceRuntime`."""
        self._views = ()
        self._interpreter = None

    def _load(self, content: bytes, threads: int) -> Any:
        module = import_runtime(self.kind, where=self._where)
        try:
            interpreter = module.Interpreter(model_content=content, num_threads=threads)
            interpreter.allocate_tensors()
        except (RuntimeError, ValueError, SystemError, MemoryError) as error:
            raise ModelError(
                f"{self.kind.name} cannot load the model: {_first_line(error)}", where=self._where
            ) from error
        return interpreter


def import_runtime(kind: RuntimeKind, *, where: str) -> Any:
    """The runtime's module.

    Args:
        kind: the runtime.
        where: what it is wanted for.

    Raises:
        ModelError: the package cannot be imported here.
    """
    try:
        return importlib.import_module(kind.module)
    # A wheel built against another numpy fails with SystemError or AttributeError.
    except (ImportError, SystemError, AttributeError, OSError) as error:
        raise ModelError(
            f"{kind.name} cannot be imported: {_first_line(error)}",
            where=where,
            hint=f"Install it: pip install {kind.distribution}",
        ) from error


def installed() -> tuple[tuple[RuntimeKind, str], ...]:
    """The runtimes present here with their versions, without importing them."""
    return tuple(
        (kind, _version(kind)) for kind in KINDS if importlib.util.find_spec(_package(kind))
    )


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keeps the runtimes' chatter out of stderr; everything else that is printed comes through.

    They print from C++ to file descriptor 2. What arrives meanwhile goes to a file in memory, for a
    full disk must not keep the camera from starting, and is sorted at the end: known chatter to
    the debug log, the rest to stderr.
    """
    sys.stderr.flush()
    with os.fdopen(os.memfd_create("stderr"), "w+b") as caught:
        real = os.dup(2)
        try:
            os.dup2(caught.fileno(), 2)
            try:
                yield
            finally:
                sys.stderr.flush()
                os.dup2(real, 2)
            caught.seek(0)
            for line in caught.read().splitlines(keepends=True):
                if line.startswith(_CHATTER):
                    log.debug("%s", line.decode(errors="replace").rstrip())
                elif line.strip():
                    os.write(real, line)
        finally:
            os.close(real)


def _info(detail: dict[str, Any]) -> TensorInfo:
    parameters = detail.get("quantization_parameters", {})
    scales = parameters.get("scales", ())
    scale, zero_point = detail["quantization"] if len(scales) <= 1 else (0.0, 0)
    return TensorInfo(
        name=str(detail["name"]),
        shape=tuple(int(side) for side in detail["shape"]),
        dtype=str(np.dtype(detail["dtype"])),
        scale=float(scale),
        zero_point=int(zero_point),
    )


def _version(kind: RuntimeKind) -> str:
    try:
        return importlib.metadata.version(kind.distribution)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"  # unpacked without its metadata, as in the Debian package


def _package(kind: RuntimeKind) -> str:
    return kind.module.partition(".")[0]


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
