"""Puts a product in front of the camera: studio backdrop or a customer's home, light, framing."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector
from PIL import Image, ImageDraw

from .families import build_product
from .geometry import Part, grid_part
from .surfaces import Graph, blade, flat_material, linear, slot_material, surface_material, wall_material

SENSOR = 36.0  # mm, the width of a full-frame sensor
PRODUCT_INDEX = 1  # object index of the product in the mask
WALLS = ("#D9D3C7", "#C7CFD1", "#CDC3B2", "#B9C4B8", "#D8CBC4", "#A9B0B8", "#C8B79F", "#E2DFD8")


def clear_scene() -> None:
    """Empties the file's data, so that one process can render thousands of shots."""
    for kind in (bpy.data.objects, bpy.data.meshes, bpy.data.materials, bpy.data.lights, bpy.data.cameras):
        bpy.data.batch_remove(list(kind))


def add_mesh(name: str, parts: list[Part], materials: dict[str, Any], index: int = 0) -> Any:
    """One object from parts, smooth but for edges sharper than 40 degrees."""
    slots = list(materials)
    sizes = np.cumsum([0] + [len(part.vertices) for part in parts])
    vertices = np.concatenate([part.vertices for part in parts]).astype(np.float32)
    faces = np.concatenate([part.faces + start for part, start in zip(parts, sizes[:-1], strict=True)]).astype(np.int32)
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(len(vertices))
    mesh.vertices.foreach_set("co", vertices.ravel())
    mesh.loops.add(faces.size)
    mesh.loops.foreach_set("vertex_index", faces.ravel())
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.arange(0, faces.size, 4, dtype=np.int32))
    owner = np.concatenate([np.full(len(part.faces), slots.index(part.slot), np.int32) for part in parts])
    mesh.polygons.foreach_set("material_index", owner)
    mesh.uv_layers.new(name="UVMap").uv.foreach_set(
        "vector", np.concatenate([p.uv for p in parts]).astype(np.float32).ravel()
    )
    mesh.update(calc_edges=True)
    mesh.shade_smooth()
    mesh.set_sharp_from_angle(angle=np.radians(40))
    for material in materials.values():
        mesh.materials.append(material)
    thing = bpy.data.objects.new(name, mesh)
    thing.pass_index = index
    bpy.context.scene.collection.objects.link(thing)
    return thing


def add_product(look: dict[str, Any], index: int) -> tuple[Any, list[Part]]:
    """Builds a look; `index` marks it in the mask."""
    parts = build_product(look["family"], look["shape"])
    slots = sorted({part.slot for part in parts})
    return add_mesh(look["family"], parts, {slot: slot_material(slot, look) for slot in slots}, index), parts


def add_sheet(name: str, points: np.ndarray, material: Any) -> Any:
    """A smooth sheet through a grid of points (m, n, 3)."""
    return add_mesh(name, [grid_part([(points, points[..., :2])], "sheet")], {"sheet": material})


def add_light(
    place: tuple[float, float, float],
    size: float,
    power: float,
    colour: tuple[float, float, float] = (1, 1, 1),
    target: tuple[float, float, float] = (0, 0, 0.4),
) -> None:
    """A square softbox aimed at the target; power in watts."""
    light = bpy.data.lights.new("light", "AREA")
    light.size, light.energy, light.color = size, power, colour
    thing = bpy.data.objects.new("light", light)
    thing.location = place
    thing.rotation_euler = (Vector(target) - Vector(place)).to_track_quat("-Z", "Y").to_euler()
    bpy.context.scene.collection.objects.link(thing)


def set_world(low: tuple[float, float, float], high: tuple[float, float, float], strength: float) -> None:
    """Ambient light running from `low` at the horizon to `high` overhead."""
    world = bpy.context.scene.world or bpy.data.worlds.new("world")
    bpy.context.scene.world = world
    world.use_nodes = True
    world.cycles.sampling_method = "NONE"
    nodes, links = world.node_tree.nodes, world.node_tree.links
    nodes.clear()
    place, split = nodes.new("ShaderNodeTexCoord"), nodes.new("ShaderNodeSeparateXYZ")
    ramp, sky, out = nodes.new("ShaderNodeMix"), nodes.new("ShaderNodeBackground"), nodes.new("ShaderNodeOutputWorld")
    ramp.data_type = "RGBA"
    ramp.inputs[6].default_value, ramp.inputs[7].default_value = (*low, 1), (*high, 1)
    sky.inputs["Strength"].default_value = strength
    links.new(place.outputs["Generated"], split.inputs[0])
    links.new(split.outputs[2], ramp.inputs[0])
    links.new(ramp.outputs[2], sky.inputs["Color"])
    links.new(sky.outputs[0], out.inputs[0])


# ---- camera -----------------------------------------------------------------------------------------------------


def add_camera(target: Vector, azimuth: float, elevation: float, distance: float) -> Any:
    """A camera looking at the target; azimuth 0 is the front, positive to the right, degrees."""
    camera = bpy.data.cameras.new("camera")
    camera.sensor_width = SENSOR
    thing = bpy.data.objects.new("camera", camera)
    a, e = np.radians(azimuth), np.radians(elevation)
    thing.location = target + distance * Vector((np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)))
    thing.rotation_euler = (target - thing.location).to_track_quat("-Z", "Y").to_euler()
    bpy.context.scene.collection.objects.link(thing)
    bpy.context.scene.camera = thing
    bpy.context.view_layer.update()
    return thing


def project(camera: Any, points: np.ndarray) -> np.ndarray:
    """Picture coordinates (n, 2) for a lens of 1 mm, in picture widths from the centre."""
    matrix = np.array(camera.matrix_world.inverted())
    local = points @ matrix[:3, :3].T + matrix[:3, 3]
    return local[:, :2] / -local[:, 2:] / SENSOR


def silhouette_area(flat: list[np.ndarray], faces: list[np.ndarray], lens: float, shift: np.ndarray) -> float:
    """Share of the picture's area that the projected faces cover."""
    side = 448  # fine enough that the outline pixels drawn twice do not count
    picture = Image.new("1", (side, side))
    draw = ImageDraw.Draw(picture)
    for points, quads in zip(flat, faces, strict=True):
        pixels = ((points * lens - shift) * [1, -1] + 0.5) * side
        for quad in pixels[quads]:
            draw.polygon([tuple(p) for p in quad], fill=1)
    return float(np.asarray(picture).mean())


def frame_product(
    camera: Any,
    parts: list[Part],
    matrix: Matrix,
    centre: tuple[float, float],
    extent: float | None,
    fill: float | None,
) -> None:
    """Chooses lens and shift so that the product fills `extent` of the width or `fill` of the area around `centre`."""
    turn = np.array(matrix)
    shown = [part for part in parts if part.framed]
    flat = [project(camera, part.vertices @ turn[:3, :3].T + turn[:3, 3]) for part in shown]
    low, high = np.min([f.min(0) for f in flat], 0), np.max([f.max(0) for f in flat], 0)
    size = float((high - low).max())
    lens = (extent or 0.5) / size
    if fill is not None:
        area = silhouette_area(flat, [part.faces for part in shown], lens, (low + high) / 2 * lens)
        lens = min(lens * float(np.sqrt(fill / area)), 0.9 / size)
    room = np.maximum(0.47 - (high - low) * lens / 2, 0.0)
    place = np.clip(np.asarray(centre), -room, room)
    shift = (low + high) / 2 * lens - place
    camera.data.lens = lens
    camera.data.shift_x, camera.data.shift_y = float(shift[0]), float(shift[1])


# ---- the two kinds of photo -------------------------------------------------------------------------------------


def hang(look: dict[str, Any]) -> float:
    """How far above the floor a product hangs."""
    return 0.55 if look["family"] == "pendant_lamp" else 0.0


def stage_studio(look: dict[str, Any], view: int, rng: np.random.Generator) -> None:
    """A product on a seamless light backdrop under softboxes."""
    clear_scene()
    product, parts = add_product(look, PRODUCT_INDEX)
    product.location.z = hang(look)
    product.rotation_euler.z = np.radians(rng.uniform(-4, 4))
    bow = np.linspace(0, np.pi / 2, 9)
    path = np.array(
        [(-7.0, 0.0), (2.2, 0.0), *[(2.2 + 1.6 * np.sin(a), 1.6 - 1.6 * np.cos(a)) for a in bow], (3.8, 7.0)]
    )
    across = np.linspace(-9, 9, 3)
    points = np.stack([np.stack([np.full(len(path), x), path[:, 0], path[:, 1]], 1) for x in across], 1)
    warm = rng.uniform(-0.012, 0.012)
    backdrop = Graph("backdrop")
    tone = (0.66 + warm, 0.655, 0.645 - warm, 1.0)
    add_sheet("backdrop", points[:, ::-1], backdrop.finish_matt(tone))
    middle = float(product.location.z) + 0.4
    side = 1 if view else -1
    add_light((side * 2.4, -2.3, 3.0), 2.2, 165.0 + rng.uniform(-8, 8), (1.0, 0.985, 0.96), (0, 0, middle))
    add_light((side * -3.0, -1.8, 1.6), 2.6, 40.0, (0.96, 0.98, 1.0), (0, 0, middle))
    add_light((side * -1.0, 2.2, 3.0), 1.4, 60.0, target=(0, 0, middle))
    set_world((0.55, 0.55, 0.56), (1.0, 1.0, 1.0), 0.3)
    azimuth = (-27 if view == 0 else 38) + rng.uniform(-5, 5)
    elevation = (17 if view == 0 else 33) + rng.uniform(-3, 3)
    if look["family"] == "pendant_lamp":
        elevation = (6 if view == 0 else 14) + rng.uniform(-3, 3)
    camera = add_camera(Vector((0, 0, middle)), azimuth, elevation, 5.2 if view == 0 else 4.2)
    bpy.context.view_layer.update()
    extent, height = (0.75, 0.0) if view == 0 else (0.82, 0.015)
    frame_product(camera, parts, product.matrix_world, (0.0, height), extent, None)


def stage_customer(shot: dict[str, Any], rng: np.random.Generator) -> None:
    """A product at somebody's home: off centre, with a neighbour, in the light of a window or the sun."""
    clear_scene()
    look, side = shot["look"], (1 if rng.random() < 0.5 else -1)
    product, parts = add_product(look, PRODUCT_INDEX)
    product.location.z = hang(look)
    product.rotation_euler.z = np.radians(rng.uniform(-35, 35))
    azimuth, elevation = rng.uniform(-28, 28), rng.uniform(12, 34)
    if look["family"] == "pendant_lamp":
        elevation = rng.uniform(-2, 10)
    camera = add_camera(Vector((0, 0, 0.4 + product.location.z)), azimuth, elevation, rng.uniform(3.0, 4.2))
    camera.rotation_euler.rotate_axis("Z", np.radians(rng.uniform(-4, 4)))
    bpy.context.view_layer.update()
    right = Vector(camera.matrix_world.to_3x3().col[0])
    if shot["distractor"] is not None:
        add_neighbour(shot["distractor"], parts, right, side, rng)
    add_room(shot["surface"] or "table_oak", rng)
    light_room(shot["surface"], rng)
    bpy.context.view_layer.update()
    centre = (-side * rng.uniform(0.12, 0.2), rng.uniform(-0.14, 0.04))
    frame_product(camera, parts, product.matrix_world, centre, None, shot["fill"])


def add_neighbour(
    look: dict[str, Any], product: list[Part], right: Vector, side: int, rng: np.random.Generator
) -> None:
    """The distractor, beside the product and a little before or behind it."""
    thing, parts = add_product(look, 0)
    width = [max(float(np.hypot(*p.vertices[:, :2].T).max()) for p in group if p.framed) for group in (product, parts)]
    scale = rng.uniform(0.75, 0.95)
    gap = width[0] * 0.92 + width[1] * scale * 0.92
    flat = Vector((right.x, right.y, 0)).normalized()
    ahead = Vector((-flat.y, flat.x, 0))
    thing.location = side * flat * gap + ahead * rng.uniform(-0.1, 0.4) + Vector((0, 0, hang(look)))
    thing.scale = (scale, scale, scale)
    thing.rotation_euler.z = np.radians(rng.uniform(-60, 60))


def add_room(surface: str, rng: np.random.Generator) -> None:
    """Floor or table top, and a wall behind it."""
    depth = rng.uniform(1.3, 2.6)
    corners = np.array([[(-9.0, -9.0, 0.0), (9.0, -9.0, 0.0)], [(-9.0, depth, 0.0), (9.0, depth, 0.0)]])
    floor = add_sheet("floor", corners, surface_material(surface))
    floor.rotation_euler.z = np.radians(rng.uniform(-6, 6))
    wall = np.array([[(-12.0, depth, -3.0), (12.0, depth, -3.0)], [(-12.0, depth, 9.0), (12.0, depth, 9.0)]])
    if surface == "grass":
        add_grass(rng)
        wall[..., 1] += 2.0
        corners[1, :, 1] += 2.5
        add_sheet("hedge", wall, hedge_material())
        add_sheet("lawn", corners - [0, 0, 0.004], surface_material("grass"))
        return
    add_sheet("wall", wall, wall_material(WALLS[int(rng.integers(len(WALLS)))]))
    if surface in ("rug", "concrete"):
        board = np.array(
            [
                [(-12.0, depth - 0.03, 0.0), (12.0, depth - 0.03, 0.0)],
                [(-12.0, depth - 0.03, 0.16), (12.0, depth - 0.03, 0.16)],
            ]
        )
        add_sheet("skirting", board, flat_material("#E9E7E2", {"Roughness": 0.5}))


def hedge_material() -> Any:
    """Blurred green behind a lawn."""
    graph = Graph("hedge")
    field = graph.noise(graph.coordinates((1, 1, 1)), 3.0, 6.0)
    return graph.finish_matt(graph.blend(graph.ramp(field, 0.3, 0.7), linear("#24401F"), linear("#6F9150")))


def add_grass(rng: np.random.Generator, count: int = 9000) -> None:
    """Blades around the product; each one a bent sliver."""
    place = rng.uniform((-2.6, -2.2), (2.6, 3.2), (count, 2))
    angle, height = rng.uniform(0, 2 * np.pi, count), rng.uniform(0.03, 0.085, count)
    lean, across = np.stack([np.cos(angle), np.sin(angle)], 1), np.stack([-np.sin(angle), np.cos(angle)], 1) * 0.006
    foot, tip = np.zeros((count, 1)), height[:, None]
    corners = [
        np.hstack([place - across, foot]),
        np.hstack([place + across, foot]),
        np.hstack([place + across * 0.2 + lean * tip * 0.6, tip]),
        np.hstack([place - across * 0.2 + lean * tip * 0.6, tip]),
    ]
    vertices = np.stack(corners, 1).reshape(-1, 3)
    faces = np.arange(count * 4).reshape(-1, 4)
    part = Part(vertices=vertices, faces=faces, uv=np.zeros((count, 4, 2)), slot="blade")
    add_mesh("grass", [part], {"blade": blade(Graph("blade"))})


def light_room(surface: str | None, rng: np.random.Generator) -> None:
    """Window light from one side, or the sun outdoors; warm or cool."""
    heat = rng.uniform(-1, 1)
    colour = (
        (1.0, 0.965 - 0.05 * max(heat, 0), 0.93 - 0.13 * max(heat, 0)) if heat > 0 else (0.95 + 0.05 * heat, 0.98, 1.0)
    )
    bearing = np.radians(rng.uniform(-80, 80))
    place = (3.0 * float(np.sin(bearing)), -3.0 * float(np.cos(bearing)) * 0.8, float(rng.uniform(1.6, 3.2)))
    sunny = surface in ("grass", "concrete") or rng.random() < 0.25
    if sunny:
        add_light(tuple(3 * v for v in place), 0.8, 1750.0, (1.0, 0.95, 0.86))
    else:
        add_light(place, rng.uniform(1.2, 2.2), 165.0, colour)
    set_world((0.62, 0.6, 0.57), (0.92, 0.96, 1.0), rng.uniform(0.42, 0.6))
