"""Plots as plain Plotly dicts, made of arrays: one module for each kind of plot."""
