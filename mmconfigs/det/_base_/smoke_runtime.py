"""The same for runs of seconds: a line in five iterations, a checkpoint an epoch."""

_base_ = ["./default_runtime.py"]

default_hooks = dict(logger=dict(interval=5))
