from __future__ import annotations

import copy
from typing import Any

import pytest
import references as ref
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from backbones.ops import SlimConv2d, slim_widths, splits_for


def disturb(layer: nn.Module) -> nn.Module:
    """Norms as after some training: nothing is 0 or 1 any more."""
    for module in layer.modules():
        if isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return layer


def divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    r = draw(st.integers(2, 8))
    c = 2 * r + draw(st.integers(0, 2 * r + 3))
    kernel_size = draw(st.integers(1, 7))
    dilation = draw(st.integers(1, 2))
    padding = draw(st.integers(0, 3)) if kernel_size % 2 == 0 else draw(st.sampled_from([None, 0, 1, 2]))
    used = dilation * (kernel_size // 2) if padding is None else padding
    smallest = max(1, dilation * (kernel_size - 1) + 1 - 2 * used)
    arguments = {
        "in_channels": c,
        "kernel_size": kernel_size,
        "stride": draw(st.integers(1, 2)),
        "padding": padding,
        "dilation": dilation,
        "groups": draw(st.sampled_from(divisors(c // r))),
        "bottom_groups": draw(st.sampled_from(divisors(c // (2 * r)))),
        "k": 2 * r / 3,
        "se_reduction": draw(st.sampled_from([2, 4, 32])),
        "se_min": draw(st.integers(1, 3)),
        "arrangement": draw(st.sampled_from(["flip", "flip", "none", "flip-both", "shuffle"])),
        "third_branch": draw(st.sampled_from([False, False, True])),
    }
    training = draw(st.booleans())
    n = draw(st.integers(1, 3))
    # The k x k paths' own norms need two values a channel, as in any network.
    extra = draw(st.integers(2 if training and n == 1 else 0, 5))
    shape = (n, c, smallest + draw(st.integers(0, 4)), smallest + extra)
    return {"arguments": arguments, "shape": shape, "training": training, "seed": draw(st.integers(0, 2**31))}


@given(cases())
@settings(max_examples=250)
def test_equals_the_reference(case: dict[str, Any]) -> None:
    torch.manual_seed(case["seed"])
    layer = disturb(SlimConv2d(**case["arguments"])).double().train(case["training"])
    reference = copy.deepcopy(layer)
    x = torch.randn(case["shape"], dtype=torch.float64, requires_grad=True)
    expected = ref.slim_conv(reference, x)

    y = layer(x)

    ref.assert_equal(y, expected, "output")
    names = ["input", *dict(layer.named_parameters())]
    ours = ref.gradients(y, x, *layer.parameters())
    theirs = ref.gradients(expected, x, *reference.parameters())
    for name, a, b in zip(names, ours, theirs, strict=True):
        ref.assert_equal(a, b, f"gradient of {name}", tolerance=1e-10)


@pytest.mark.parametrize(
    ("k", "r"), [(4 / 3, 2), (2, 3), (8 / 3, 4), (10 / 3, 5), (4, 6), (14 / 3, 7), (16 / 3, 8), (1.3333333, 2)]
)
def test_k_is_two_thirds_of_the_number_of_chunks(k: float, r: int) -> None:
    assert splits_for(k) == r
    assert slim_widths(840, k) == (840 // r, 840 // (2 * r))
    assert SlimConv2d(840, k=k).out_channels == 840 // r + 840 // (2 * r)


@pytest.mark.parametrize("k", [1, 1.5, 2 / 3, 3, 6, -4 / 3, 0])
def test_another_k_is_refused_with_the_right_ones(k: float) -> None:
    with pytest.raises(ValueError, match=r"k=.*4/3, 2, 8/3, 10/3, 4, 14/3, 16/3"):
        SlimConv2d(64, k=k)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_channels": 3}, "in_channels=3.*at least 4 channels"),
        ({"in_channels": 64, "groups": 3}, "groups=3.*32 channels.*top"),
        ({"in_channels": 64, "groups": 32}, "groups=32.*16 channels.*bottom"),
        ({"in_channels": 64, "groups": 0}, "groups=0"),
        ({"in_channels": 64, "kernel_size": 4}, "kernel_size=4.*padding"),
        ({"in_channels": 64, "arrangement": "reverse"}, "arrangement='reverse'.*flip"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SlimConv2d(**arguments)


def test_left_over_channels_are_dropped_but_feed_the_gate() -> None:
    layer = SlimConv2d(11, k=2).eval()  # r = 3: chunks of 3, two channels left over
    assert (layer.width, layer.out_channels) == (3, 3 + 1)
    x = torch.randn(2, 11, 5, 5)
    other = x.clone()
    other[:, 9:] += torch.randn(2, 2, 5, 5) * 3
    assert not torch.allclose(layer(x), layer(other))  # through the gate
    nn.init.zeros_(layer.gate[0].weight)
    torch.testing.assert_close(layer(x), layer(other), rtol=0, atol=0)  # and nowhere else


def test_top_comes_first_then_bottom_then_third() -> None:
    layer = SlimConv2d(16, third_branch=True).eval()
    assert layer.out_channels == 8 + 4 + 4
    for channels, path in ((slice(0, 8), layer.top), (slice(8, 12), layer.bottom), (slice(12, 16), layer.third)):
        only = copy.deepcopy(layer)
        with torch.no_grad():
            for other in (only.top, only.bottom, only.third):
                nn.init.constant_(other[-1].weight, 0)
                nn.init.constant_(other[-1].bias, 0)
            name = next(n for n, child in layer.named_children() if child is path)
            nn.init.constant_(getattr(only, name)[-1].bias, 7)
        y = only(torch.randn(1, 16, 4, 4))
        assert (y[:, channels] == 7).all()
        assert y.sum() == 7 * y[:, channels].numel()


def test_the_flip_reaches_across_the_whole_width() -> None:
    # A gate that opens channel 0 only: the bottom path must then see channel C - 1, and no other.
    layer = SlimConv2d(8, kernel_size=1).eval()
    with torch.no_grad():
        nn.init.zeros_(layer.gate[3].weight)
        layer.gate[3].bias.copy_(torch.tensor([50.0] + [-50.0] * 7))
    x = torch.randn(1, 8, 3, 3)
    for channel, path_seen in ((0, slice(0, 4)), (7, slice(4, 6))):
        other = x.clone()
        other[:, channel] += 1
        moved = (layer(other) - layer(x)).abs().amax((0, 2, 3)) > 1e-6
        assert moved[path_seen].any()
        assert not moved[: path_seen.start].any()
        assert not moved[path_seen.stop :].any()


def test_arrangements_differ_as_they_are_defined() -> None:
    layers = {name: SlimConv2d(16, arrangement=name).eval() for name in ("flip", "none", "flip-both", "shuffle")}
    for layer in layers.values():
        layer.load_state_dict(layers["flip"].state_dict(), strict=False)
    x = torch.randn(2, 16, 6, 6)
    top = {name: layer(x)[:, :8] for name, layer in layers.items()}
    bottom = {name: layer(x)[:, 8:] for name, layer in layers.items()}
    for name in ("none", "shuffle"):
        torch.testing.assert_close(top[name], top["flip"], rtol=0, atol=0)
        assert not torch.allclose(bottom[name], bottom["flip"])
    assert not torch.allclose(top["flip-both"], top["flip"])
    torch.testing.assert_close(bottom["flip-both"], bottom["flip"], rtol=0, atol=0)
    assert not torch.allclose(bottom["none"], bottom["shuffle"])


def test_a_shuffle_is_a_permutation_that_is_stored() -> None:
    layer = SlimConv2d(64, arrangement="shuffle")
    assert sorted(layer.order.tolist()) == list(range(64))
    assert layer.order.tolist() != list(range(64))
    again = SlimConv2d(64, arrangement="shuffle")
    assert again.order.tolist() != layer.order.tolist()
    again.load_state_dict(layer.state_dict())
    assert again.order.tolist() == layer.order.tolist()
    assert "order" not in SlimConv2d(64).state_dict()  # the authors' checkpoints have none


def test_a_training_batch_of_one_uses_the_gates_running_statistics_and_leaves_them() -> None:
    layer = disturb(SlimConv2d(16)).train()
    before = {name: buffer.clone() for name, buffer in layer.gate.named_buffers()}
    y = layer(torch.randn(1, 16, 6, 6))
    y.square().sum().backward()
    for name, buffer in layer.gate.named_buffers():
        assert torch.equal(buffer, before[name]), name
    assert layer.top[1].num_batches_tracked == 1  # the others take statistics of the pixels
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in layer.parameters())
    layer(torch.randn(2, 16, 6, 6))
    assert layer.gate[1].num_batches_tracked == before["1.num_batches_tracked"] + 1


def test_a_training_batch_of_one_with_synchronised_norms_in_one_process() -> None:
    layer = disturb(SlimConv2d(16, norm_layer=nn.SyncBatchNorm)).train()
    mean = layer.gate[1].running_mean.clone()
    assert torch.isfinite(layer(torch.randn(1, 16, 6, 6))).all()
    assert torch.equal(layer.gate[1].running_mean, mean)


def test_one_image_in_evaluation_is_like_one_of_many() -> None:
    layer = disturb(SlimConv2d(16)).eval()
    x = torch.randn(3, 16, 5, 7)
    torch.testing.assert_close(torch.cat([layer(image[None]) for image in x]), layer(x))


@pytest.mark.parametrize(("reduction", "least", "hidden"), [(32, 1, 2), (16, 1, 4), (32, 16, 16), (128, 1, 1)])
def test_hidden_channels_of_the_gate(reduction: int, least: int, hidden: int) -> None:
    layer = SlimConv2d(64, se_reduction=reduction, se_min=least)
    assert layer.gate[0].weight.shape == (hidden, 64, 1, 1)
    assert layer.gate[0].bias is None
    assert layer.gate[3].bias is not None


def test_groups_act_on_the_two_paths_separately() -> None:
    layer = SlimConv2d(96, groups=32, bottom_groups=16, k=2)  # the first stage of Sc-ResNeXt-101 32x3d
    assert (layer.top[0].groups, layer.bottom[0].groups, layer.bottom[3].groups) == (32, 1, 16)


def test_another_norm() -> None:
    layer = SlimConv2d(16, se_reduction=4, norm_layer=lambda channels: nn.GroupNorm(1, channels)).train()
    assert layer(torch.randn(1, 16, 4, 4)).shape == (1, 12, 4, 4)
    assert sum(isinstance(module, nn.GroupNorm) for module in layer.modules()) == 4


def test_parameters_of_equation_4() -> None:
    # (5/16 n^2 + 1/8 C1/C2) C1 C2 with C1 = C2, plus the gate and the norms.
    c, n = 64, 3
    layer = SlimConv2d(c, n)
    kxk = sum(m.weight.numel() for path in (layer.top, layer.bottom) for m in path if isinstance(m, nn.Conv2d))
    assert kxk == (5 * n * n / 16 + 1 / 8) * c * c
