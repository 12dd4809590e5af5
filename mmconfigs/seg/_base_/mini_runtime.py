"""The same for runs of minutes: a line in ten iterations, a checkpoint in sixty."""

_base_ = ["./default_runtime.py"]

default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=60, max_keep_ckpts=1))
