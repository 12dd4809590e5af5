"""Protocols that test weights and train none: the authors' weights, larger test images, fewer bits.

What their configs say of them: `protocol.evaluate_only`; `protocol.weights_of`, the protocol that trains the weights,
or nothing where they are the authors'; `weights`, "official" for the authors' layout; `quantize_bits`.
"""

from __future__ import annotations

import os
from typing import Any

from mmengine.config import Config
from torch import nn

from benchmarks.errors import UserError
from benchmarks.training.experiments import list_protocols, model_of, protocol


def refuse_to_train(config: Config) -> None:
    """Raises UserError with the commands that are right if the experiment's protocol only tests weights."""
    if not config.protocol.get("evaluate_only", False):
        return
    test = f"slimbench test {config.experiment} --checkpoint FILE"
    source = config.protocol.get("weights_of", "")
    made_by = f"weights that `slimbench train {source}/{model_of(config)}` makes" if source else "the authors' weights"
    raise UserError(f"{config.experiment} trains nothing, it tests {made_by}: {test}")


def load_weights(config: Config, network: nn.Module, content: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Load what `read_checkpoint(path)` returned into the network of a test, as the experiment's protocol says.

    Raises UserError if the file does not fit the network, or if it says that another experiment than
    `protocol.weights_of` made it.
    """
    from benchmarks.training.weights import load_strictly, network_weights

    source, maker = config.protocol.get("weights_of", ""), content.get("experiment")
    if source and maker and maker != f"{source}/{model_of(config)}":
        told = (
            f"checkpoint {os.fspath(path)} is of {maker}; {config.experiment} tests one of {source}/{model_of(config)}"
        )
        raise UserError(told + _tested_by(config, maker))
    if config.get("weights") == "official":
        from backbones.adapters.official import CheckpointError, load_official_slimconv

        try:
            load_official_slimconv(network, os.fspath(path))
        except CheckpointError as error:
            raise UserError(str(error)) from error
    else:
        load_strictly(network, network_weights(content), os.fspath(path), model_of(config))
    if bits := config.get("quantize_bits"):
        from backbones import quantize

        quantize(network, bits)


def _tested_by(config: Config, maker: str) -> str:
    """The protocol of the same data set that tests what `maker` trains, as a hint; "" if there is none."""
    family, _, model = maker.rpartition("/")
    for name in list_protocols():
        if name.partition("/")[0] == config.dataset.name and protocol(name)["weights_of"] == family:
            return f". {name}/{model} tests those"
    return ""


def trained_as(config: Config, content: dict[str, Any]) -> str:
    """The experiment whose finished training made the tested weights, "" if the file does not say that of itself.

    A test of such weights counts as measured here under the protocol that tests them.
    """
    source, maker, epoch = config.protocol.get("weights_of", ""), content.get("experiment"), content.get("epoch")
    if not source or maker != f"{source}/{model_of(config)}" or not isinstance(epoch, int):
        return ""
    return str(maker) if epoch >= protocol(source)["epochs"] else ""
