"""Whole pictures, enlarged in tiles: `enlarge` and `tiling`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import backbones
from backbones.nets.vdsr import VDSR
from benchmarks.errors import UserError
from benchmarks.super_resolution import enlarge, tiling
from benchmarks.super_resolution.colour import to_ycbcr
from benchmarks.super_resolution.enlarge import upscale
from benchmarks.super_resolution.resize import bicubic


@pytest.fixture
def network() -> nn.Module:
    """Four layers whose details are as large as the picture: a seam would show."""
    torch.manual_seed(0)
    return VDSR(4, 8).eval().to(memory_format=torch.channels_last)


def picture(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


class Brighter(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 0.1


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(("channels", "tile"), [(1, 16), (3, 24), (4, 40)])
def test_tiles_leave_no_seam(network: nn.Module, scale: int, channels: int, tile: int) -> None:
    image = picture(1, channels, 37, 23)
    whole, tiled = (upscale(image, network, scale, tile=each) for each in (0, tile))
    assert whole.shape == (1, channels, 37 * scale, 23 * scale)
    assert (whole - tiled).abs().max() <= 1e-5
    assert (whole - upscale(image, nn.Identity(), scale)).abs().max() > 0.1  # the network had something to say


@pytest.mark.parametrize("name", ["s_versatile_vdsr22", "shared_l_versatile_vdsr22_s4"])
def test_versatile_networks_leave_no_seam(name: str) -> None:
    torch.manual_seed(1)
    network = backbones.create_model(name).eval()
    image = picture(1, 1, 50, 17)
    assert (upscale(image, network, 2, tile=0) - upscale(image, network, 2, tile=30)).abs().max() <= 1e-5


@pytest.mark.parametrize("what", ["reach", "REACH"])
def test_a_smaller_margin_would_show(network: nn.Module, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    image = picture(1, 1, 40, 40)
    whole = upscale(image, network, 2, tile=0)
    monkeypatch.setattr(enlarge, what, {"reach": lambda network: 0, "REACH": -1}[what])
    assert (whole - upscale(image, network, 2, tile=20)).abs().max() > 1e-4


@pytest.mark.parametrize(("depth", "expected"), [(2, 2), (4, 4)])
def test_reach_is_how_far_a_pixel_is_felt(depth: int, expected: int) -> None:
    torch.manual_seed(0)
    network = VDSR(depth, 4).double()
    image = torch.rand(1, 1, 21, 21, dtype=torch.float64)
    changed = image.clone()
    changed[..., 10, 10] += 1
    rows = (network(image) != network(changed))[0, 0].any(1).nonzero()
    assert tiling.reach(network) == expected == rows.max() - 10 == 10 - rows.min()


def test_reach_of_the_catalogue_and_of_other_kernels() -> None:
    for name in ("vdsr22", "s_versatile_vdsr22", "c_versatile_vdsr22_8_8", "separate_l_versatile_vdsr22_s4"):
        assert tiling.reach(backbones.create_model(name)) == 22
    assert tiling.reach(backbones.create_model("vdsr20")) == 20
    wide = nn.Sequential(nn.Conv2d(1, 1, (1, 5)), nn.Conv2d(1, 1, 3, dilation=3), nn.Conv2d(1, 1, 1))
    assert tiling.reach(wide) == 2 + 3
    assert tiling.reach(nn.Identity()) == 0
    with pytest.raises(ValueError, match="stride"):
        tiling.reach(nn.Conv2d(1, 1, 3, stride=2))


@pytest.mark.parametrize(("height", "width", "side"), [(1, 1, 1), (7, 20, 5), (20, 7, 20), (33, 2, 8)])
def test_parts_cover_everything_once(height: int, width: int, side: int) -> None:
    times = np.zeros((height, width), int)
    for part in tiling.parts(height, width, side):
        assert 0 < part.bottom - part.top <= side
        assert 0 < part.right - part.left <= side
        times[part.top : part.bottom, part.left : part.right] += 1
    assert (times == 1).all()


def test_no_tile_is_larger_than_asked_for(network: nn.Module) -> None:
    sizes: list[int] = []
    network.register_forward_hook(lambda module, inputs, output: sizes.append(max(output.shape)))
    upscale(picture(1, 1, 60, 45), network, 2, tile=32)
    margin = tiling.reach(network) + 2 * (enlarge.REACH + 1)
    assert len(sizes) == 4 * 3
    assert max(sizes) <= 32 + 2 * margin


def test_the_automatic_tile_follows_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    network, cpu = VDSR(20), torch.device("cpu")
    found = []
    for free in (2**20, 300 * 2**20, 2**40):
        monkeypatch.setattr(tiling, "free_memory", lambda device, free=free: free)
        found.append(tiling.automatic_tile(network, cpu))
    assert found[0] == tiling.SMALLEST_TILE < found[1] < found[2] == tiling.USUAL_TILE["cpu"]
    assert (found[1] + 2 * 20) ** 2 * 64 * 4 * 3 <= 150 * 2**20


def test_free_memory_is_told() -> None:
    assert 2**20 < tiling.free_memory(torch.device("cpu")) < 2**60


def test_without_a_network_it_is_bicubic_enlargement() -> None:
    image = picture(2, 3, 9, 14)
    expected = bicubic(image.double(), (27, 42)).clamp(0, 1)
    torch.testing.assert_close(upscale(image, nn.Identity(), 3).double(), expected, atol=1e-6, rtol=0)


def test_the_network_changes_luminance_alone() -> None:
    image = picture(1, 3, 8, 8) * 0.2 + 0.4  # far from where the result is clipped
    before, after = (to_ycbcr(upscale(image, each, 2).double()) for each in (nn.Identity(), Brighter()))
    expected = before + torch.tensor([0.1, 0, 0]).view(3, 1, 1)
    torch.testing.assert_close(after, expected, atol=1e-6, rtol=0)


def test_grey_stays_grey(network: nn.Module) -> None:
    grey = picture(1, 1, 12, 9)
    found = upscale(grey.expand(1, 3, 12, 9), network, 2)
    assert torch.equal(found[:, 0], found[:, 1])
    assert torch.equal(found[:, 0], found[:, 2])
    luminance = network(bicubic(grey.double(), (24, 18)).float()).clamp(0, 1)
    torch.testing.assert_close(upscale(grey, network, 2), luminance, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, 255), (np.uint16, 65_535)])
def test_arrays_keep_their_type_and_all_its_values(dtype: type, white: int) -> None:
    image = np.random.default_rng(0).integers(0, white + 1, (6, 5, 3)).astype(dtype)
    found = upscale(image, nn.Identity(), 2)
    assert (found.dtype, found.shape) == (dtype, (12, 10, 3))
    exact = bicubic(torch.from_numpy(image.astype(float)).permute(2, 0, 1)[None], (12, 10)).clamp(0, white)
    assert np.abs(found - exact[0].permute(1, 2, 0).numpy()).max() <= 0.51
    assert upscale(image[..., 0], nn.Identity(), 2).shape == (12, 10)
    assert upscale(image[:, ::-1, :1], nn.Identity(), 2).shape == (12, 10, 1)


def test_arrays_and_tensors_agree(network: nn.Module) -> None:
    image = (picture(7, 11, 4) * 255).round().to(torch.uint8)
    as_tensor = upscale(image.permute(2, 0, 1)[None], network, 3)
    assert np.array_equal(upscale(image.numpy(), network, 3), as_tensor[0].permute(1, 2, 0).numpy())


def test_an_array_that_may_not_be_written(recwarn: pytest.WarningsRecorder) -> None:
    image = np.arange(24, dtype=np.uint8).reshape(4, 6)
    image.flags.writeable = False  # as numpy.asarray gives a picture of Pillow's
    assert np.array_equal(upscale(image, nn.Identity(), 2), upscale(image.copy(), nn.Identity(), 2))
    assert not recwarn.list


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 2), (1, 40, 4)])
def test_pictures_smaller_than_a_patch(network: nn.Module, shape: tuple[int, ...]) -> None:
    larger = upscale(np.full(shape, 200, np.uint8), nn.Identity(), 4)
    assert larger.shape == (shape[0] * 4, shape[1] * 4, *shape[2:])
    assert (larger == 200).all()
    assert upscale(np.full(shape, 200, np.uint8), network, 4, tile=8).shape == larger.shape


def test_what_is_hidden_under_transparency_does_not_shine_through(network: nn.Module) -> None:
    alpha = torch.zeros(1, 1, 16, 16)
    alpha[..., 4:12, 5:11] = 1
    black, white = (torch.cat([picture(1, 3, 16, 16) * alpha + hidden * (1 - alpha), alpha], 1) for hidden in (0, 1))
    first, second = (upscale(each, nn.Identity(), 2) for each in (black, white))
    seen = first[:, 3:] > 0.07
    assert torch.equal(first[:, 3:], second[:, 3:])
    assert seen.sum() > 4 * 8 * 6
    assert ((first - second).abs() * seen).max() <= 1e-6
    torch.testing.assert_close(upscale(black, network, 2)[:, 3:], first[:, 3:])  # alpha is not the network's


def test_opaque_pictures_are_enlarged_as_those_without_alpha(network: nn.Module) -> None:
    image = picture(1, 3, 9, 9)
    opaque = upscale(torch.cat([image, torch.ones(1, 1, 9, 9)], 1), network, 2)
    torch.testing.assert_close(opaque[:, :3], upscale(image, network, 2), atol=1e-5, rtol=0)
    assert (opaque[:, 3] == 1).all()


def test_progress_is_told(network: nn.Module) -> None:
    told: list[tuple[int, int]] = []
    upscale(picture(1, 1, 20, 10), network, 2, tile=20, progress=lambda *each: told.append(each))
    assert told == [(1, 2), (2, 2)]


def test_float32_means_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    seen = []

    class Spy(nn.Identity):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append((torch.backends.cudnn.allow_tf32, x.dtype))
            return x

    upscale(picture(1, 1, 4, 4), Spy(), 2)
    assert seen == [(False, torch.float32)]
    assert torch.backends.cudnn.allow_tf32 is True


@pytest.mark.parametrize(
    ("image", "scale", "tile", "told"),
    [
        (torch.rand(1, 5, 4, 4), 2, None, r"C is 1, 2, 3 or 4"),
        (torch.rand(4, 4), 2, None, r"shape \(4, 4\)"),
        (torch.rand(1, 1, 0, 4), 2, None, r"no side is 0"),
        (np.zeros((0, 4), np.uint8), 2, None, r"no side is 0"),
        (np.zeros(4, np.uint8), 2, None, r"\(H, W\) or \(H, W, C\)"),
        (np.zeros((4, 4), np.int32), 2, None, "int32"),
        (torch.rand(1, 1, 4, 4), 1, None, "scale 1"),
        (torch.rand(1, 1, 4, 4), 2, -1, "tile -1"),
    ],
)
def test_what_is_no_image_is_refused(image: torch.Tensor, scale: int, tile: int | None, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        upscale(image, nn.Identity(), scale, tile)


def test_networks_of_other_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"makes \(1, 1, 6, 6\) of \(1, 1, 8, 8\)"):
        upscale(torch.rand(1, 1, 4, 4), nn.Conv2d(1, 1, 3), 2)
    diverged = nn.Conv2d(1, 1, 1)
    nn.init.constant_(diverged.weight, float("nan"))
    with pytest.raises(UserError, match="not finite"):
        upscale(torch.rand(1, 1, 4, 4), diverged, 2)
