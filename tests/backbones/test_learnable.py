from __future__ import annotations

import itertools
from typing import Any

import pytest
import references as ref
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import backbones
from backbones.ops import LearnableVersatileConv2d


def by_primary(layer: LearnableVersatileConv2d, agent: Tensor) -> list[list[Tensor]]:
    """``[i][j]``: what belongs to secondary j of primary i, shared or not."""
    s = layer.num_secondary
    return [[agent[j if layer.shared else i * s + j] for j in range(s)] for i in range(layer.num_primary)]


@given(ref.geometries(), st.integers(1, 5), st.booleans(), st.sampled_from(["clipped", "literal", "fixed"]))
@settings(max_examples=250)
def test_equals_the_reference(geometry: dict[str, Any], s: int, shared: bool, rule: Any) -> None:
    torch.manual_seed(geometry["seed"])
    layer = LearnableVersatileConv2d(**geometry["args"], s=s, shared=shared, rule=rule).double()
    x = torch.randn(geometry["shape"], dtype=torch.float64, requires_grad=True)
    threshold = 0 if rule == "literal" else 0.5
    masks = by_primary(layer, (layer.agent > threshold).double())
    secondaries = ref.masked_secondaries(layer.weight, masks)
    chosen = ref.select(secondaries, layer.out_channels, layer.groups)
    expected = ref.convolve(x, chosen, layer.bias, layer)

    y = layer(x)

    ref.assert_equal(y, expected, "output")
    learned = [x, layer.weight, *([] if layer.bias is None else [layer.bias])]
    for name, a, b in zip(
        ("input", "weight", "bias"), ref.gradients(y, *learned), ref.gradients(expected, *learned), strict=False
    ):
        ref.assert_equal(a, b, f"gradient of {name}")
    if rule == "fixed":
        return
    # Eq. 18 and 23, secondary by secondary.
    of_chosen = dict(zip(map(id, chosen), ref.gradients(expected, *chosen), strict=True))
    to_agent = torch.zeros_like(layer.agent)
    for i, j in itertools.product(range(layer.num_primary), range(s)):
        if id(secondaries[i][j]) in of_chosen:
            to_agent[j if shared else i * s + j] += of_chosen[id(secondaries[i][j])] * layer.weight[i].detach()
    ref.assert_equal(ref.gradients(y, layer.agent)[0], to_agent, "gradient of H")


def test_order_is_primary_by_primary() -> None:
    layer = LearnableVersatileConv2d(3, 6, 3, s=2, bias=False)
    filters = layer.secondary_filters()
    for i, j in itertools.product(range(3), range(2)):
        torch.testing.assert_close(filters[2 * i + j], layer.weight[i] * layer.masks()[2 * i + j], rtol=0, atol=0)


@pytest.mark.parametrize(("shared", "sets"), [(True, 1), (False, 4)])
def test_one_set_of_masks_or_one_a_primary(shared: bool, sets: int) -> None:
    layer = LearnableVersatileConv2d(5, 12, 3, s=3, shared=shared)
    assert layer.agent.shape == (sets * 3, 5, 3, 3)
    assert layer.masks().shape == layer.agent.shape
    assert layer.masks().dtype == torch.bool


def plain_penalty(masks: list[Tensor]) -> Tensor:
    """Eq. 12, entry by entry."""
    s, n = len(masks), masks[0].numel()
    total = torch.zeros((), dtype=torch.float64)
    for i, j in itertools.product(range(s), repeat=2):
        entry = (masks[i].flatten() * masks[j].flatten()).sum() / n
        total = total + (entry - (1.0 if i == j else 0.0)) ** 2
    return total / 2


@given(
    c=st.integers(1, 5), d=st.integers(1, 4), s=st.integers(1, 5), primaries=st.integers(1, 4),
    shared=st.booleans(), rule=st.sampled_from(["clipped", "literal"]), seed=st.integers(0, 2**31),
)  # fmt: skip
@settings(max_examples=150)
def test_penalty_is_equation_12_and_its_gradient_equation_16(
    c: int, d: int, s: int, primaries: int, shared: bool, rule: Any, seed: int
) -> None:
    torch.manual_seed(seed)
    layer = LearnableVersatileConv2d(c, s * primaries, d, s=s, shared=shared, rule=rule).double()
    sets = 1 if shared else primaries
    masks = layer.masks().double()
    terms = [plain_penalty(list(masks[i * s : (i + 1) * s])) for i in range(sets)]
    ref.assert_equal(layer.penalty(), sum(terms), "sum")
    ref.assert_equal(layer.penalty("mean"), sum(terms) / sets, "mean")

    n = d * d * c
    expected = []
    for i in range(sets):
        m = masks[i * s : (i + 1) * s].flatten(1).T  # (d^2 c, s), as in Eq. 11
        expected.append((2 / n**2 * m @ m.T @ m - 2 / n * m).T)
    expected = torch.cat(expected).view_as(layer.agent)
    (gradient,) = torch.autograd.grad(layer.penalty(), layer.agent)
    ref.assert_equal(gradient, expected, "gradient of the sum")
    (gradient,) = torch.autograd.grad(layer.penalty("mean"), layer.agent)
    ref.assert_equal(gradient, expected / sets, "gradient of the mean")


def test_the_diagonal_of_the_penalty_is_the_share_of_ones() -> None:
    layer = LearnableVersatileConv2d(4, 1, 3, s=1)
    share = layer.masks().float().mean()
    torch.testing.assert_close(layer.penalty(), (share - 1) ** 2 / 2)


def test_the_straight_through_gradient_reaches_masked_places_too() -> None:
    layer = LearnableVersatileConv2d(2, 2, 3, s=2)
    layer(torch.randn(1, 2, 5, 5)).sum().backward()
    assert (layer.agent.grad != 0).all()
    off = ~layer.masks()[0] & ~layer.masks()[1]
    assert (layer.weight.grad[0][off] == 0).all()


def test_clipped_keeps_what_it_has_learned() -> None:
    layer = LearnableVersatileConv2d(2, 2, 1, s=1, rule="clipped")
    with torch.no_grad():
        layer.agent.copy_(torch.tensor([[-0.3, 0.2], [0.7, 1.4]]).view(2, 2, 1, 1))
    layer.after_step()
    torch.testing.assert_close(layer.agent.flatten(), torch.tensor([0, 0.2, 0.7, 1]))
    assert layer.masks().flatten().tolist() == [False, False, True, True]


def test_literal_restarts_from_the_masks() -> None:
    layer = LearnableVersatileConv2d(2, 2, 1, s=1, rule="literal")
    assert set(layer.agent.unique().tolist()) <= {0.0, 1.0}
    with torch.no_grad():
        layer.agent.copy_(torch.tensor([[-0.3, 0.0], [1e-6, 0.9]]).view(2, 2, 1, 1))
    assert layer.masks().flatten().tolist() == [False, False, True, True]
    layer.after_step()
    assert layer.agent.flatten().tolist() == [0, 0, 1, 1]


def test_fixed_never_moves() -> None:
    layer = LearnableVersatileConv2d(4, 8, 3, rule="fixed")
    before = layer.agent.clone()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5, weight_decay=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        layer(torch.randn(2, 4, 5, 5)).square().sum().backward()
        optimizer.step()
        layer.after_step()
    assert torch.equal(layer.agent, before)
    assert layer.agent.grad is None


def train_on_noise(rule: Any, steps: int = 200) -> tuple[float, float]:
    """Share of ones at the end, and share of mask entries that have changed."""
    torch.manual_seed(0)
    layer = LearnableVersatileConv2d(8, 32, 3, s=2, rule=rule)
    optimizer = torch.optim.SGD(backbones.parameter_groups(layer, lr=0.003), momentum=0.9)
    before = backbones.snapshot_masks(layer)
    assert backbones.mask_statistics(layer)["share_of_ones"] == pytest.approx(0.5, abs=0.05)
    for _ in range(steps):
        y = layer(torch.randn(4, 8, 6, 6))
        loss = (y - torch.randn_like(y)).square().mean(0).sum() / 10
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        backbones.after_step(layer)
    after = backbones.snapshot_masks(layer)
    return backbones.mask_statistics(layer)["share_of_ones"], backbones.masks_changed(before, after)


def test_the_literal_rule_fills_the_masks_and_the_sound_one_does_not() -> None:
    share, changed = train_on_noise("literal")
    assert share > 0.99
    assert changed == pytest.approx(0.5, abs=0.05)  # every zero became a one
    share, changed = train_on_noise("clipped")
    assert share == pytest.approx(0.5, abs=0.1)
    assert changed > 0.02
    assert train_on_noise("fixed", steps=20)[1] == 0


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("poison", [float("nan"), float("-inf")])
def test_a_poisoned_weight_reaches_exactly_the_outputs_whose_mask_has_it(shared: bool, poison: float) -> None:
    layer = LearnableVersatileConv2d(3, 12, 3, s=4, shared=shared)
    with torch.no_grad():
        layer.weight[1, 2, 0, 1] = poison
    y = layer(torch.rand(1, 3, 6, 6) + 0.5)
    own = by_primary(layer, layer.masks())[1]
    expected = [False] * 4 + [bool(mask[2, 0, 1]) for mask in own] + [False] * 4
    assert [not torch.isfinite(y[:, j]).all() for j in range(12)] == expected


def test_poison_in_every_masked_place_is_harmless() -> None:
    layer = LearnableVersatileConv2d(3, 4, 3, s=2)
    a, b = by_primary(layer, layer.masks())[0]
    with torch.no_grad():
        layer.weight[0][~a & ~b] = float("nan")
    assert torch.isfinite(layer(torch.randn(1, 3, 5, 5))).all()


@pytest.mark.parametrize("width", [16, 32, 64])
@pytest.mark.parametrize("s", [3, 5, 6])
def test_surplus_secondaries_are_dropped_or_refused(width: int, s: int) -> None:
    layer = LearnableVersatileConv2d(8, width, 3, s=s)
    assert layer.num_primary == -(-width // s)
    assert layer(torch.randn(1, 8, 4, 4)).shape == (1, width, 2, 2)
    low = width // s * s
    with pytest.raises(ValueError, match=rf"out_channels={width}.*s={s}.*{low}, {low + s}\b"):
        LearnableVersatileConv2d(8, width, 3, s=s, strict=True)
    LearnableVersatileConv2d(8, low, 3, s=s, strict=True)


def test_strict_counts_groups() -> None:
    with pytest.raises(ValueError, match=r"out_channels=12 in 2 group\(s\).*s=4.*8, 16"):
        LearnableVersatileConv2d(4, 12, 3, groups=2, s=4, strict=True)
    LearnableVersatileConv2d(4, 16, 3, groups=2, s=4, strict=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rule": "hard"}, "rule='hard'.*clipped, literal, fixed"),
        ({"s": 0}, "num_secondary=0"),
        ({"groups": 3}, "groups=3.*in_channels=4.*out_channels=4"),
        ({"groups": 0}, "groups=0"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LearnableVersatileConv2d(4, 4, 3, **arguments)


@pytest.mark.parametrize("rule", ["clipped", "literal", "fixed"])
def test_masks_start_as_fair_coins_and_outputs_at_the_scale_of_a_convolution(rule: Any) -> None:
    layer = LearnableVersatileConv2d(64, 64, 3, padding=1, bias=False, rule=rule)
    assert layer.masks().float().mean() == pytest.approx(0.5, abs=0.01)
    assert 0 <= layer.agent.min() <= layer.agent.max() <= 1
    x = torch.randn(4, 64, 8, 8)
    dense = torch.nn.Conv2d(64, 64, 3, padding=1, bias=False)
    assert layer(x).std().item() == pytest.approx(dense(x).std().item(), rel=0.1)


def test_under_clipped_the_penalty_freezes_the_masks() -> None:
    # Of a position that one of two masks keeps, or both, Eq. 16 pushes each H further to its own side: with half of the
    # entries set, M^T M / (d^2 c) - I is [[-1/2, 1/4], [1/4, -1/2]]. Such pushes pile up until H lies at 0 or 1.
    torch.manual_seed(0)
    layer = LearnableVersatileConv2d(16, 16, 3, s=2, rule="clipped")
    before, agent = layer.masks(), layer.agent.detach().clone()
    optimizer = torch.optim.SGD([layer.agent], lr=30.0)
    for _ in range(200):  # as far as 2,000 iterations (five epochs of CIFAR) at 30 times 0.1
        optimizer.zero_grad()
        backbones.mask_penalty(layer, 0.1).backward()
        optimizer.step()
        layer.after_step()
    assert torch.equal(layer.masks(), before)
    kept_by_one = before.view(-1, 2, 16, 3, 3).any(1, keepdim=True).expand(-1, 2, -1, -1, -1).reshape(before.shape)
    assert torch.equal(layer.agent.detach()[kept_by_one], before.float()[kept_by_one])
    assert torch.equal(layer.agent.detach()[~kept_by_one], agent[~kept_by_one])
