"""The same on the boxes of VOC, whose masks have an `overfit` of their own."""

_base_ = ["./overfit.py"]

protocol = dict(name="overfit-boxes")
