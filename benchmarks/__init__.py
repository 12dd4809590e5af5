"""The harness: count, time, train and test the models of ``backbones``, and report what came out."""

from __future__ import annotations

__version__ = "0.1.0"
