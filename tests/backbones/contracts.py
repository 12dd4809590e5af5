"""What every named network must survive. Each check builds what it needs and raises AssertionError."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

import backbones

Size = tuple[int, int]


def build(name: str, device: str = "cpu", **kwargs: Any) -> nn.Module:
    """A named network, with five classes where it has any (and unless told otherwise)."""
    classes = {"num_classes": 5} if backbones.model_spec(name).num_classes else {}
    with torch.device(device):
        return backbones.create_model(name, **{**classes, **kwargs})


def images(name: str, size: Size, n: int, device: str = "cpu") -> Tensor:
    return torch.randn(n, backbones.model_spec(name).input_size[0], *size, device=device)


def tensors(output: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (output,) if isinstance(output, Tensor) else output


def runs(name: str, *sizes: Size, device: str = "meta") -> list[tuple[torch.Size, ...]]:
    """Evaluates one image and trains on two, forwards and backwards, of each size; returns the evaluated shapes."""
    model = build(name, device)
    shapes = []
    for size in sizes:
        with torch.no_grad():
            shapes.append(tuple(t.shape for t in tensors(model.eval()(images(name, size, 1, device)))))
        model.train().zero_grad(set_to_none=True)
        outputs = tensors(model(images(name, size, 2, device)))
        torch.stack([t.square().mean() for t in outputs]).sum().backward()
        missing = [key for key, p in model.named_parameters() if p.requires_grad and p.grad is None]
        assert missing == [], missing
        if device != "meta":
            assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    return shapes


@torch.no_grad()
def travels(name: str, size: Size) -> None:
    """State dict into a fresh network and deep copy: the same outputs, bit for bit."""
    model = build(name).eval()
    x = images(name, size, 1)
    fresh = build(name, "meta").eval()
    fresh.load_state_dict(model.state_dict(), strict=True, assign=True)
    for other in (fresh, copy.deepcopy(model)):
        for ours, theirs in zip(tensors(other(x)), tensors(model(x)), strict=True):
            assert torch.equal(ours, theirs)


@torch.no_grad()
def spread(name: str, size: Size, **kwargs: Any) -> float:
    """How much the outputs of a new network differ between four images, in training, as it starts."""
    torch.manual_seed(0)
    model = build(name, **kwargs).train()
    return float(tensors(model(images(name, size, 4)))[0].std(0).mean())


def exports(name: str, size: Size, device: str = "cpu") -> None:
    model = build(name, device).eval()
    x = images(name, size, 2, device)
    program = torch.export.export(model, (x,)).module()
    with torch.no_grad():
        for ours, theirs in zip(tensors(program(x)), tensors(model(x)), strict=True):
            assert ours.shape == theirs.shape
            if device != "meta":
                torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


def compiles(name: str, size: Size, device: str = "cpu") -> None:
    """One graph, forwards and backwards, in evaluation (values are compared) and in training."""
    model = build(name, device)
    for mode in (False, True):
        torch.compiler.reset()
        model.train(mode)
        x = images(name, size, 2, device)
        compiled = torch.compile(copy.deepcopy(model), backend="aot_eager", fullgraph=True)
        outputs = tensors(compiled(x))
        torch.stack([t.square().mean() for t in outputs]).sum().backward()
        if device != "meta" and not mode:
            for ours, theirs in zip(outputs, tensors(model(x)), strict=True):
                torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)
