"""The same on the boxes of VOC, whose masks have a `smoke` of their own."""

_base_ = ["./smoke.py"]

protocol = dict(name="smoke-boxes")
