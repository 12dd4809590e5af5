"""Reports: published tables joined with what was counted and measured, as Markdown, LaTeX, CSV and figures.

``cells`` joins one table, ``render`` and ``terminal`` and ``figures`` show it, ``summary`` counts its cells and
``write`` does all of it for many tables without letting one broken table stop the others.
"""
