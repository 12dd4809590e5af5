"""A network in the `ncnn` package: traced, converted by `pnnx`, run on the CPU in float32.

ncnn is what Versatile Filters' Table 5 was timed in, with layers of the authors' that were never published; the
baseline, ResNet-50, needs none of these. Both packages are optional: `pip install 'slimbench[ncnn]'`.
"""

from __future__ import annotations

import subprocess
import tempfile
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.environment import version_of
from benchmarks.errors import UserError
from benchmarks.latency.setting import Setting

PACKAGES = ("ncnn", "pnnx")
#: Layers in the text of a network start with these fields, before names and parameters.
_HEAD = 4
#: The parameter that tells ncnn the shapes of a layer's outputs; arrays are numbered downwards from -23300.
_SHAPES = -23300 - 30


class Converted:
    """A network in ncnn, called like the network that it was, with one image.

    weight_bytes: of the file that ncnn reads, batch norms folded.
    """

    def __init__(self, net: Any, weight_bytes: int) -> None:
        self._net = net
        self._input, self._output = net.input_names()[0], net.output_names()[0]
        self.weight_bytes = weight_bytes

    def __call__(self, images: Tensor) -> Tensor:
        """``(1, C, H, W)`` to what the network gives, ``(1, ...)``. Raises RuntimeError where ncnn fails."""
        return self._run(images)

    def most_allocated(self, images: Tensor) -> int:
        """Bytes of maps and scratch at the height of a call."""
        from benchmarks.latency.ncnn_memory import Counting

        counting = Counting()

        def count(extractor: Any) -> None:
            extractor.set_blob_allocator(counting)
            extractor.set_workspace_allocator(counting)

        self._run(images, count)
        return counting.most

    def shapes(self, images: Tensor) -> dict[str, tuple[int, int, int, int]]:
        """What ncnn calls the shape of each map, by its name: dimensions, width, height, channels.

        Zeros mean not known: of a map of four dimensions the files cannot tell more.
        """
        import ncnn

        found = {}
        with self._net.create_extractor() as extractor:
            extractor.set_light_mode(False)  # in light mode a map is gone when the next one is there
            extractor.input(self._input, ncnn.Mat(images[0].numpy()))
            for blob in self._net.blobs():
                _, map_ = extractor.extract(blob.name)
                found[str(blob.name)] = (map_.dims, map_.w, map_.h, map_.c) if map_.dims <= 3 else (0, 0, 0, 0)
        return found

    def _run(self, images: Tensor, prepare: Callable[[Any], None] = lambda _: None) -> Tensor:
        import ncnn
        import numpy as np

        with self._net.create_extractor() as extractor:
            prepare(extractor)
            extractor.input(self._input, ncnn.Mat(images[0].numpy()))
            failed, output = extractor.extract(self._output)
            if failed:
                raise RuntimeError(f"ncnn's extract gave {failed}")
            return torch.from_numpy(np.array(output))[None]


def check(label: str, setting: Setting) -> None:
    """Raises UserError where ncnn is not installed, or the setting is not one that it is measured in."""
    if setting.task == "training":
        raise UserError(f"{label}: ncnn does not train; measure it without --training")
    asked = {
        "--device": (setting.device, "cpu"),
        "--batch": (setting.batch, 1),
        "--dtype": (setting.dtype, "fp32"),
        "--layout": (setting.layout, "nchw"),
    }
    for option, (given, only) in asked.items():
        if given != only:
            raise UserError(f"{label}: {option} {given}: ncnn is measured with {option} {only} only")
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise UserError(f"{label}: {' and '.join(missing)} not installed: pip install 'slimbench[ncnn]'")


def versions() -> dict[str, str]:
    """Of both packages, for the record."""
    return {name: version_of(name) or "unknown" for name in PACKAGES}


def load(network: nn.Module, images: Tensor, label: str) -> Converted:
    """Convert a network for such images, ``(1, C, H, W)``; it runs with `torch.get_num_threads()` threads.

    Raises UserError, which names `label`, where PyTorch cannot trace, pnnx not convert or ncnn not run it.
    """
    with tempfile.TemporaryDirectory(prefix="slimbench-ncnn-") as folder:
        text, weights = _convert(network, images, Path(folder), label)
        first = _net(text, weights, label)
        # With the shapes of all maps ncnn chooses each layer's algorithm before it lays out the weights, and keeps them
        # in that layout only: ResNet-50 is 3 % faster. pnnx does not write shapes.
        hinted = _with_shapes(text, first.shapes(images))
        del first
        return _net(hinted, weights, label)


def _convert(network: nn.Module, images: Tensor, folder: Path, label: str) -> tuple[str, Path]:
    """What ncnn loads: the text of the layers, and the file of the weights, in `folder`."""
    traced = folder / "network.pt"
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing warns of what a later call would do otherwise; there is none
            torch.jit.trace(network, images, check_trace=False).save(str(traced))  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0].partition(". ")[0]
        raise UserError(f"{label}: torch.jit.trace cannot write it for pnnx: {reason}") from error
    import pnnx

    shape = ",".join(map(str, images.shape))
    command = [pnnx.EXEC_PATH, traced.name, f"inputshape=[{shape}]", "fp16=0"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    text, weights = folder / "network.ncnn.param", folder / "network.ncnn.bin"
    if done.returncode or not (text.is_file() and weights.is_file()):
        said = (done.stderr or done.stdout).strip().rpartition("\n")[2]
        raise UserError(f"{label}: pnnx cannot convert it (exit status {done.returncode}): {said}")
    return text.read_text(encoding="utf-8"), weights


def _net(text: str, weights: Path, label: str) -> Converted:
    import ncnn

    kinds = sorted({line.split()[0] for line in text.splitlines()[2:]})
    if unknown := [kind for kind in kinds if ncnn.layer_to_index(kind) < 0]:
        raise UserError(f"{label}: ncnn has no {', '.join(unknown)}, which pnnx makes of it")
    net = ncnn.Net()
    net.opt.num_threads = torch.get_num_threads()
    for name in dir(net.opt):
        if name.startswith(("use_fp16", "use_bf16")):  # on by default; float32 is to be float32
            setattr(net.opt, name, False)
    if net.load_param_mem(text) or net.load_model(str(weights)):
        raise UserError(f"{label}: ncnn cannot load what pnnx makes of it")
    return Converted(net, weights.stat().st_size)


def _with_shapes(text: str, shapes: dict[str, tuple[int, int, int, int]]) -> str:
    """The text of the layers, each with the shapes of its outputs."""
    lines = text.splitlines()
    for number, line in enumerate(lines[2:], 2):  # after a magic number and the counts of layers and maps
        fields = line.split()
        inputs, outputs = int(fields[2]), int(fields[3])
        names = fields[_HEAD + inputs : _HEAD + inputs + outputs]
        values = [value for name in names for value in shapes[name]]
        lines[number] = f"{line} {_SHAPES}={len(values)},{','.join(map(str, values))}"
    return "\n".join(lines) + "\n"
