"""What the terminal shows of a run's metrics."""

from __future__ import annotations

from benchmarks.training.lines import of_metrics
from benchmarks.training.records import measured

ENLARGED = {
    "bicubic_psnr_x2": 33.6612, "bicubic_psnr_x10": 9.5, "bicubic_ssim_x2": 0.92991, "bicubic_ssim_x10": 0.3,
    "psnr_x2": 37.527, "psnr_x10": 10.25, "ssim_x2": 0.95871, "ssim_x10": 0.5,
    "psnr_x2.baby": 38.754, "bicubic_psnr_x2.baby": 37.066, "psnr_x2.a.b": 30.0, "bicubic_psnr_x2.a.b": 29.0,
    "psnr_x10.baby": 10.0, "bicubic_psnr_x10.baby": 9.0, "psnr_x10.a.b": 10.5, "bicubic_psnr_x10.a.b": 10.0,
}  # fmt: skip


def test_classification_has_a_line_a_metric():
    metrics = measured({"top1_accuracy": 93.456, "top1_error": 6.544})
    assert of_metrics("run", metrics) == ["run: top1_accuracy 93.46 %", "run: top1_error 6.54 %"]


def test_enlargement_has_a_line_a_scale():
    assert of_metrics("run", measured(ENLARGED)) == [
        "run: x2  bicubic 33.66 dB SSIM 0.9299, network 37.53 dB SSIM 0.9587",
        "run: x10  bicubic  9.50 dB SSIM 0.3000, network 10.25 dB SSIM 0.5000",
    ]


def test_pictures_follow_where_they_are_asked_for():
    assert of_metrics("run", measured(ENLARGED), each=True)[2:] == [
        "run: x2 a.b   bicubic 29.00 dB, network 30.00 dB",
        "run: x2 baby  bicubic 37.07 dB, network 38.75 dB",
        "run: x10 a.b   bicubic 10.00 dB, network 10.50 dB",
        "run: x10 baby  bicubic  9.00 dB, network 10.00 dB",
    ]


def test_what_was_not_measured_is_not_shown():
    assert of_metrics("run", measured({"psnr_x3": 31.0})) == ["run: x3  network 31.00 dB"]
    assert of_metrics("run", ()) == []
