"""Meshes of the sixteen product families, built from lathes, tubes and rounded boxes; numpy only.

A product is a list of parts. It stands on z = 0, faces -y, and its largest extent is about one unit.
UV coordinates count pattern periods, so that every surface pattern has the same size on every part.
Slots name what a part is made of: `body` (material, colour and pattern of the look), `plain` (`body` without its
pattern), `trim` and `leg` (the bare material), `accent` (second colour); all others are fixed, see surfaces.FIXED.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

Shape = Mapping[str, float]
Points = Sequence[tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A quad mesh: vertices (V, 3), faces (F, 4), uv (F, 4, 2) in pattern periods; `framed` parts set the crop."""

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    slot: str
    framed: bool = True


# ---- primitives -------------------------------------------------------------------------------------------------


def mix(amount: float, low: float, high: float) -> float:
    """The value at `amount` (0 to 1) of the way from low to high."""
    return low + amount * (high - low)


def grid_part(patches: Sequence[tuple[np.ndarray, np.ndarray]], slot: str) -> Part:
    """One part from patches of points (m, n, 3) and uv (m, n, 2); equal points are welded."""
    points, faces, uv, start = [], [], [], 0
    for grid, coordinates in patches:
        rows, columns = grid.shape[:2]
        index = np.arange(rows * columns).reshape(rows, columns)
        corners = (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1])
        quads = np.stack([corner.ravel() for corner in corners], axis=1)  # (F, 4)
        points.append(grid.reshape(-1, 3))
        uv.append(coordinates.reshape(-1, 2)[quads])
        faces.append(quads + start)
        start += rows * columns
    every = np.concatenate(points)
    _, first, inverse = np.unique(np.round(every, 5), axis=0, return_index=True, return_inverse=True)
    return Part(vertices=every[first], faces=inverse.ravel()[np.concatenate(faces)], uv=np.concatenate(uv), slot=slot)


def smooth(points: Points, steps: int = 6) -> np.ndarray:
    """Catmull-Rom curve through the points; a point given twice stays a corner."""
    control = np.asarray(points, float)
    padded = np.vstack([2 * control[0] - control[1], control, 2 * control[-1] - control[-2]])
    curve = [control[0]]
    for p0, p1, p2, p3 in zip(padded[:-3], padded[1:-2], padded[2:-1], padded[3:], strict=True):
        if np.allclose(p1, p2):
            continue
        before = p2 - p1 if np.allclose(p0, p1) else (p2 - p0) / 2
        after = p2 - p1 if np.allclose(p3, p2) else (p3 - p1) / 2
        t = np.linspace(0, 1, steps + 1)[1:, None]
        bend = (2 * t**3 - 3 * t**2 + 1) * p1 + (t**3 - 2 * t**2 + t) * before
        curve.extend(bend + (3 * t**2 - 2 * t**3) * p2 + (t**3 - t**2) * after)
    return np.asarray(curve)


def lathe(
    profile: Points, slot: str = "body", period: float = 0.13, around: int = 56, steps: int = 5, flat: bool = False
) -> Part:
    """The solid of revolution of a profile of (radius, height) about the z axis.

    flat: level faces take their pattern from above, so that it does not converge in the middle of a table top.
    """
    curve = smooth(profile, steps)
    curve[:, 0] = np.maximum(curve[:, 0], 2e-4)  # a pole of width zero would make degenerate faces
    angle = np.linspace(0, 2 * np.pi, around + 1)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    ring[-1] = ring[0]
    grid = np.concatenate(
        [curve[:, None, :1] * ring, np.broadcast_to(curve[:, None, 1:], (len(curve), around + 1, 1))], 2
    )
    arc = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))]) / period
    count = max(6, round(2 * np.pi * float(curve[:, 0].max()) * 0.9 / period))
    uv = np.stack(np.broadcast_arrays(angle[None] / (2 * np.pi) * count, arc[:, None]), axis=2)
    part = grid_part([(grid, uv)], slot)
    if not flat:
        return part
    step = np.abs(np.diff(curve, axis=0))
    level = np.repeat(step[:, 0] > step[:, 1], around)
    part.uv[level] = part.vertices[part.faces[level], :2] / period
    return part


def vessel(outer: Points, wall: float = 0.03, period: float = 0.13, inside: str = "plain") -> list[Part]:
    """An open pot: the outer profile from foot to rim as `body`, rounded rim and inner wall as `inside`."""
    (radius, height), floor = outer[-1][:2], outer[0][1] + wall * 1.5
    inner = [(max(r - wall, 0.004), z) for r, z in outer if z > floor]
    inner = [(max(outer[1][0] - wall, 0.02), floor), *inner]
    bottom = (0.0, floor)
    rim = [(radius, height), (radius - wall * 0.15, height + wall * 0.4), (radius - wall * 0.85, height + wall * 0.4)]
    return [lathe([(0, outer[0][1]), *outer], "body", period), lathe([*rim, *inner[::-1], bottom], inside, period)]


def rounded_box(size: Sequence[float], radius: float, slot: str = "body", period: float = 0.13, cuts: int = 6) -> Part:
    """A box centred on the origin whose edges are rounded by `radius`."""
    half = np.asarray(size, float) / 2
    radius = float(min(radius, half.min() * 0.98))
    patches = []
    bend = 1 - np.tan(np.linspace(0, np.pi / 4, cuts))
    for axis in range(3):
        u_axis, v_axis = [a for a in range(3) if a != axis]
        steps = []
        for a in (u_axis, v_axis):
            edge, flat = half[a] - radius * bend, np.linspace(-half[a] + radius, half[a] - radius, 4)
            steps.append(np.unique(np.round(np.concatenate([-edge, flat, edge]), 6)))
        u, v = np.meshgrid(*steps)
        for side in (-1.0, 1.0):
            point = np.zeros((*u.shape, 3))
            point[..., u_axis], point[..., v_axis], point[..., axis] = u, v, side * half[axis]
            core = np.clip(point, -half + radius, half - radius)
            away = point - core
            length = np.linalg.norm(away, axis=2, keepdims=True)
            grid = core + away / np.maximum(length, 1e-9) * radius
            uv = np.stack([u, v], axis=2) / period
            flip = (side > 0) == (axis == 1)
            patches.append((grid[:, ::-1], uv[:, ::-1]) if flip else (grid, uv))
    return grid_part(patches, slot)


def tube(
    points: Points,
    radius: float | tuple[float, float],
    slot: str = "body",
    sides: int = 14,
    steps: int = 6,
    period: float = 0.13,
    curved: bool = True,
) -> Part:
    """A round bar along a curve; two radii taper it from start to end."""
    path = smooth(points, steps) if curved else np.asarray(points, float)
    start, end = radius if isinstance(radius, tuple) else (radius, radius)
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-12
    normal = np.cross(tangent[0], [0.0, 1.0, 0.0] if abs(tangent[0][1]) < 0.9 else [1.0, 0.0, 0.0])
    angle = np.linspace(0, 2 * np.pi, sides + 1)[:, None]
    arc = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    rings, along = [], []
    for row, (centre, direction) in enumerate(zip(path, tangent, strict=True)):
        normal = normal - direction * (normal @ direction)
        normal /= np.linalg.norm(normal) + 1e-12
        ring = np.cos(angle) * normal + np.sin(angle) * np.cross(direction, normal)
        ring[-1] = ring[0]
        width = mix(arc[row] / arc[-1], start, end)
        if row == 0:
            rings.append(centre + ring * 2e-4)
            along.append(0.0)
        rings.append(centre + ring * width)
        along.append(arc[row])
        if row == len(path) - 1:
            rings.append(centre + ring * 2e-4)
            along.append(arc[row])
    count = max(2, round(2 * np.pi * max(start, end) / period))
    uv = np.stack(np.broadcast_arrays(angle.T / (2 * np.pi) * count, np.asarray(along)[:, None] / period), axis=2)
    return grid_part([(np.asarray(rings), uv)], slot)


def moved(part: Part, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Part:
    """The part shifted."""
    return replace(part, vertices=part.vertices + np.array([x, y, z]))


def turned(part: Part, axis: str, degrees: float) -> Part:
    """The part rotated about a coordinate axis."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    vertices = part.vertices.copy()
    vertices[:, i] = cosine * part.vertices[:, i] - sine * part.vertices[:, j]
    vertices[:, j] = sine * part.vertices[:, i] + cosine * part.vertices[:, j]
    return replace(part, vertices=vertices)


def disc(radius: float, height: float, slot: str = "body", edge: float = 0.012, period: float = 0.13) -> Part:
    """A flat cylinder with rounded edges, standing on z = 0."""
    edge = min(edge, height * 0.45)
    side = [(0, 0), (radius - edge, 0), (radius - edge, 0), (radius, edge), (radius, edge), (radius, height - edge)]
    top = [(radius, height - edge), (radius - edge, height), (radius - edge, height), (0, height)]
    return lathe([*side, *top], slot, period, flat=True)


def ring_of(count: int, radius: float, start: float = 45.0) -> list[tuple[float, float]]:
    """Places (x, y) evenly spaced on a circle."""
    angles = np.radians(start + 360.0 * np.arange(count) / count)
    return [(radius * float(np.cos(a)), radius * float(np.sin(a))) for a in angles]
