"""Versatile filters with learnable binary masks, shared or separate (Versatile Filters, section 4)."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from backbones.ops.versatile import Size, VersatileConv2d

Rule = Literal["clipped", "literal", "fixed"]
_THRESHOLD = {"clipped": 0.5, "literal": 0.0, "fixed": 0.5}


def _by_set(agent: Tensor, s: int) -> Tensor:
    """``(sets * s, c, kh, kw) -> (sets, s, c, kh, kw)``; a view."""
    return agent.view(-1, s, *agent.shape[1:])


def distances_from_identity(agent: Tensor, s: int, threshold: float) -> Tensor:
    """Eq. (12) of each mask set: ``(sets * s, c, kh, kw) -> (sets,)``. The sets may be those of several layers."""
    hard = (agent.detach() > threshold).to(agent.dtype)
    straight_through = hard + (agent - agent.detach())  # the masks exactly, the gradient H's
    m = _by_set(straight_through, s).flatten(2)  # (sets, s, d^2 c)
    gram = m @ m.mT / m.shape[-1]
    distance: Tensor = (gram - torch.eye(s, dtype=m.dtype, device=m.device)).square().sum((1, 2)) / 2
    return distance


class _MaskedFilters(torch.autograd.Function):
    """Eq. (7) and (9) forwards; Eq. (17), (18) and the straight-through Eq. (23) backwards."""

    @staticmethod
    def forward(primary: Tensor, agent: Tensor, s: int, threshold: float) -> Tensor:
        masks = _by_set(agent > threshold, s)
        return torch.where(masks, primary.unsqueeze(1), 0.0)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int, float], output: Tensor) -> None:
        primary, agent, ctx.s, ctx.threshold = inputs
        ctx.save_for_backward(primary, agent)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        (grad,) = grads
        primary, agent = ctx.saved_tensors
        to_primary = to_agent = None
        if ctx.needs_input_grad[0]:
            masks = _by_set(agent > ctx.threshold, ctx.s)
            to_primary = torch.where(masks, grad, 0.0).sum(1)  # Eq. (17)
        if ctx.needs_input_grad[1]:
            to_masks = grad * primary.unsqueeze(1)
            if agent.shape[0] == ctx.s:
                to_masks = to_masks.sum(0, keepdim=True)  # Eq. (18): over the filters that share the mask
            to_agent = to_masks.flatten(0, 1)  # Eq. (23)
        return to_primary, to_agent, None, None


class LearnableVersatileConv2d(VersatileConv2d):
    """s secondary filters a primary, cut out by learned binary masks M = sign(H) (Eq. 7 to 10, 22).

    The agent variable H is the parameter ``agent``: ``(s, c / groups, kh, kw)`` where masks are shared by all
    primaries, ``(num_primary * s, c / groups, kh, kw)`` where each has its own. Masks start as fair coins (share of
    ones 0.5; H uniform in [0, 1]). After each optimizer step call :func:`backbones.after_step`.

    Args:
        s: secondary filters a primary.
        shared: one set of s masks for all primaries (Eq. 8), or one a primary (Eq. 10).
        rule: how masks follow from H and what :meth:`after_step` does with it.

            ``clipped`` (default): M = [H > 0.5]; H stays in [0, 1] and keeps what it has learned between steps.
            ``literal`` (Eq. 22 to 25 to the letter): M = [H > 0]; H restarts from M before each step and is clipped
            to [0, 1]. A zero then becomes one after any negative gradient, while a one must fall a whole unit in one
            step: the masks fill up with ones, and the secondaries of a primary become equal.
            ``fixed``: random masks that do not learn ("L-Versatile-Rand", section 5.1.3).

    Raises:
        ValueError: for an unknown rule, and as :class:`VersatileConv2d` does.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        s: int = 2,
        shared: bool = False,
        rule: Rule = "clipped",
        strict: bool = False,
    ) -> None:
        if rule not in get_args(Rule):
            raise ValueError(f"rule={rule!r}: must be one of {', '.join(get_args(Rule))}")
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
            num_secondary=s, strict=strict,
        )  # fmt: skip
        self.shared = shared
        self.rule = rule
        self.threshold = _THRESHOLD[rule]
        sets = 1 if shared else self.num_primary
        agent = torch.empty(sets * s, *self.weight.shape[1:])
        self.agent = nn.Parameter(agent, requires_grad=rule != "fixed")
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        super().reset_parameters()
        self.agent.uniform_(0, 1)
        if self.rule == "literal":
            self.agent.copy_(self.agent > 0.5)

    def masks(self) -> Tensor:
        """The binary masks M (Eq. 22), boolean, of the agent's shape."""
        return self.agent.detach() > self.threshold

    def unfold(self) -> Tensor:
        out: Tensor = _MaskedFilters.apply(  # type: ignore[no-untyped-call]
            self.weight, self.agent, self.num_secondary, self.threshold
        )
        return out

    def share_of_ones(self) -> float:
        return 0.5  # in expectation, at the start: what the initialisation needs

    def penalty(self, reduction: Literal["sum", "mean"] = "sum") -> Tensor:
        """Eq. (12): half the squared distance of ``M^T M / (d^2 c)`` from the identity; a scalar.

        The diagonal of ``M^T M / (d^2 c)`` is the share of ones of each mask, so the term asks for masks that are
        full and do not overlap, which contradict each other. Separate masks have one such term a primary filter;
        they are summed over a layer by default (as Algorithm 1 updates each mask set by its own Eq. 16), so that
        the pull on a mask does not depend on how many primaries there are. ``mean`` averages them.
        """
        distance = distances_from_identity(self.agent, self.num_secondary, self.threshold)
        total: Tensor = distance.mean() if reduction == "mean" else distance.sum()
        return total

    @torch.no_grad()
    def after_step(self) -> None:
        """Eq. (24) and (25), after an optimizer step: clip H to [0, 1]; under ``literal`` restart it from M."""
        if self.rule == "fixed":
            return
        self.agent.clamp_(0, 1)
        if self.rule == "literal":
            self.agent.copy_(self.agent > self.threshold)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, {'shared' if self.shared else 'separate'} masks, rule={self.rule!r}"
