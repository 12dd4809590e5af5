"""Boxes and masks of MMDetection's and MMSegmentation's networks, drawn over pictures."""
