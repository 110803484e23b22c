"""Procedural scenes with exact optical flow."""

from .render import Scene, SceneOptions, render

__all__ = ["Scene", "SceneOptions", "render"]
