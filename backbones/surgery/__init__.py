"""Plugging an operator into a network that somebody else wrote."""

from __future__ import annotations

from backbones.surgery.quantize import quantize
from backbones.surgery.report import Change, SurgeryError, SurgeryReport, surgery_report
from backbones.surgery.slim import slim
from backbones.surgery.versatile import versatile

__all__ = ["Change", "SurgeryError", "SurgeryReport", "quantize", "slim", "surgery_report", "versatile"]
